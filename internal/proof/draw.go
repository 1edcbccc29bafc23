package proof

import "math/rand/v2"

// OneOf draws one of the list, which is not empty.
func OneOf[T any](rnd *rand.Rand, list []T) T { return list[rnd.IntN(len(list))] }
