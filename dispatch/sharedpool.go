package dispatch

// NewSharedPool is NewPool of a pool that all apps of an engine share, such as for one
// account with a service that all of them use: no more attempts than the limit run at once in
// all of them together, with keys no more of a key. Permits go round the apps that wait. So it is
// with Rate, which counts the starts of all apps, and with WholePool of RetryAfter, which puts
// the jobs of all off. Of an Ordered one the order is that of each app. A limit that an app is
// given at run time bounds what that app has of it. Where it has a Rate, starting the engine
// reads the latest starts of all apps.
func NewSharedPool(name string, limit int, opts ...PoolOption) *Pool {
	return NewPool(name, limit, append(opts[:len(opts):len(opts)], func(p *Pool) { p.shared = true })...)
}

// IsShared says whether all apps of an engine share the pool.
func (p *Pool) IsShared() bool { return p.shared }
