package history

// cycles looks for transactions that depend on themselves. An edge leads from a transaction to one that read a value
// of it (wr), or whose record comes next after its in a partition (ww).
func (c *checker) cycles() {
	number := map[*Txn]int{}
	var txns []*Txn
	for _, t := range c.Txns {
		if !t.Plain {
			number[t] = len(txns)
			txns = append(txns, t)
		}
	}
	reads, writes := make([][]int, len(txns)), make([][]int, len(txns))
	for to, t := range txns {
		for _, v := range t.Reads {
			if from := c.sent[v]; from != nil && from != t && !from.Plain && c.took(t) {
				reads[number[from]] = append(reads[number[from]], to)
			}
		}
	}
	for _, log := range c.Logs {
		before := -1
		for _, e := range log {
			t := c.sent[e.Value]
			if !e.Visible || t == nil || t.Plain {
				continue
			}
			if n := number[t]; n != before {
				if before >= 0 {
					writes[before] = append(writes[before], n)
				}
				before = n
			}
		}
	}
	for _, circle := range circles(reads) {
		c.add(WriteReadCycle, "%d transactions read from each other, one is of %s", len(circle), txns[circle[0]].ID)
	}
	c.WriteCycles = len(circles(writes))
	for from := range reads {
		writes[from] = append(writes[from], reads[from]...)
	}
	c.MixedCycles = len(circles(writes))
}

// took: the transaction is visible.
func (c *checker) took(t *Txn) bool {
	for _, w := range t.Writes {
		if _, ok := c.visible[w.Value]; ok {
			return true
		}
	}
	return false
}

// circles are the strongly connected components with more than one node: Tarjan's algorithm with a stack of its own.
func circles(edges [][]int) [][]int {
	type frame struct{ node, next int }
	var (
		found   [][]int
		counter int
		index   = make([]int, len(edges)) // 0: not visited
		low     = make([]int, len(edges))
		onStack = make([]bool, len(edges))
		stack   []int
		frames  []frame
	)
	visit := func(n int) {
		counter++
		index[n], low[n], onStack[n] = counter, counter, true
		stack = append(stack, n)
		frames = append(frames, frame{node: n})
	}
	for root := range edges {
		if index[root] != 0 {
			continue
		}
		visit(root)
		for len(frames) > 0 {
			f := &frames[len(frames)-1]
			if f.next < len(edges[f.node]) {
				to := edges[f.node][f.next]
				f.next++
				if index[to] == 0 {
					visit(to)
				} else if onStack[to] {
					low[f.node] = min(low[f.node], index[to])
				}
				continue
			}
			node := f.node
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				parent := frames[len(frames)-1].node
				low[parent] = min(low[parent], low[node])
			}
			if low[node] != index[node] {
				continue
			}
			at := len(stack) - 1
			for stack[at] != node {
				at--
			}
			component := append([]int(nil), stack[at:]...)
			stack = stack[:at]
			for _, n := range component {
				onStack[n] = false
			}
			if len(component) > 1 {
				found = append(found, component)
			}
		}
	}
	return found
}
