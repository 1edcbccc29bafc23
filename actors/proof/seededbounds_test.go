package proof_test

// boundsFaults are planted where the sum of what one app does is bounded.
var boundsFaults = []seededFault{
	{
		name: "tx-limits-of-the-innermost", what: "what the outer mutation has written does not count in a nested one",
		pkg: "storage", tests: "TestG24_ATransactionHasLimits",
		edits: []edit{{"storage/limits.go", `for _, l := range v.tx.layers {`, `layers := v.tx.layers
	if FAULT {
		layers = layers[len(layers)-1:]
	}
	for _, l := range layers {`}},
	},
	{
		name: "tx-limits-after-the-write", what: "the call that passes a limit of a transaction is refused when it has written",
		pkg: "storage", tests: "TestG24_ATransactionHasLimits",
		edits: []edit{{"storage/jobs.go", `if err := v.spare(1, writes, size); err != nil {`, `if err := v.spare(1, writes, size); err != nil {
		if FAULT {
			c.seq++
			tx.putEncoded(&job, data)
		}`}},
	},
	{
		name: "tx-limits-retried", what: "a job that passes the limits of a transaction is retried",
		pkg: "actors", tests: "TestG24_AMutationHasLimits",
		edits: []edit{{"storage/errors.go", `ErrTxLimit = permanent(errors.New("limit of one transaction exceeded"))`, `ErrTxLimit = func() error {
		err := errors.New("limit of one transaction exceeded")
		if FAULT {
			return err
		}
		return permanent(err)
	}()`}},
	},
}
