package pglog

import (
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// begin has a connection be tried first with the host of that number, of those that the
// address names, and then with the next ones. What is tried with one host, with TLS and without, stays
// in its order.
func begin(config *pgx.ConnConfig, first int) {
	all := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	var starts []int
	for i, h := range all {
		if i == 0 || h.Host != all[i-1].Host || h.Port != all[i-1].Port {
			starts = append(starts, i)
		}
	}
	at := starts[first%len(starts)]
	all = slices.Concat(all[at:], all[:at])
	config.Host, config.Port, config.TLSConfig = all[0].Host, all[0].Port, all[0].TLSConfig
	config.Fallbacks = all[1:]
}
