package groups

import (
	"fmt"
	"slices"
	"time"
)

// spread is the median and the largest of some times.
func spread(times []time.Duration) string {
	s := slices.Clone(times)
	slices.Sort(s)
	return fmt.Sprintf("p50 %v max %v", s[len(s)/2], s[len(s)-1])
}
