// Package invariant asserts what must hold. A broken invariant is a bug in this program, never a
// matter of input, and it stops the process rather than let it go on with wrong state.
package invariant

import "fmt"

// Check panics with the formatted message when cond is false. Keep the arguments cheap.
func Check(cond bool, format string, args ...any) {
	if !cond {
		panic("invariant: " + fmt.Sprintf(format, args...))
	}
}
