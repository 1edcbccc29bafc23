package workload

import (
	"context"
	"errors"
	"runtime"
	"time"

	"carillon/storage/baseline"
)

// floors are the two baselines of W7: what a durable update costs that has nothing
// of the system around it. They have a thread of their own, whose account tells what
// they have written, so that it is not taken for the system's.
type floors struct {
	keys   *baseline.Keys
	zeros  *baseline.Zeros
	took   [2][]time.Duration // of updates and appends
	wrote  [2]int64           // since the files were made
	made   int64              // written to make them
	told   bool               // the system tells what a thread has written
	orders chan func()
}

// openFloors makes the files in dir.
func openFloors(dir string) (f *floors, err error) {
	f = &floors{orders: make(chan func()), told: true}
	go func() {
		runtime.LockOSThread() // and never unlocked: it ends with the goroutine
		for do := range f.orders {
			do()
		}
	}()
	value := make([]byte, baselineValue)
	err = errors.Join(
		f.do(0, func() (err error) { f.keys, err = baseline.OpenKeys(dir, tenantDocs, value); return err }),
		f.do(1, func() (err error) { f.zeros, err = baseline.OpenZeros(dir); return err }),
	)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	f.made, f.wrote, f.took = f.wrote[0]+f.wrote[1], [2]int64{}, [2][]time.Duration{}
	return f, nil
}

// do has the thread call fn, and notes of the floor what it has taken.
func (f *floors) do(floor int, fn func() error) (err error) {
	done := make(chan struct{})
	f.orders <- func() {
		defer close(done)
		const self = "/proc/thread-self/io"
		before, ok := writtenBy(self)
		began := time.Now()
		err = fn()
		f.took[floor] = append(f.took[floor], time.Since(began))
		after, _ := writtenBy(self)
		f.told = f.told && ok
		f.wrote[floor] += after - before
	}
	<-done
	return err
}

// update makes one update of key i and one append, of the same value.
func (f *floors) update(i int, value []byte) error {
	if err := f.do(0, func() error { return f.keys.Update(i, value) }); err != nil {
		return err
	}
	return f.do(1, func() error { return f.zeros.Append(value) })
}

// rows are what the floors took.
func (f *floors) rows(name string) (rows []Row) {
	for i, kind := range []string{"-bbolt", "-append"} {
		row := Row{Workload: name + kind, Callers: 1, Jobs: len(f.took[i])}
		row.spent(sum(f.took[i]), len(f.took[i]))
		row.spread(f.took[i])
		if f.told {
			row.BytesWritten = new(f.wrote[i])
		}
		rows = append(rows, row)
	}
	return rows
}

func (f *floors) close() (err error) {
	if f.keys != nil {
		err = f.keys.Close()
	}
	if f.zeros != nil {
		err = errors.Join(err, f.zeros.Close())
	}
	close(f.orders)
	return err
}

// latency is W7. Calls, updates and appends take turns, so that a disk that is slow
// for a while is slow for all of them.
func latency(ctx context.Context, r *Harness) error {
	return r.within(func(dir string) (err error) {
		floors, err := openFloors(dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, floors.close()) }()
		n := r.scaled(latencyCalls)
		call := Row{Workload: r.name, Callers: 1, Apps: 1, Jobs: n}
		value := make([]byte, baselineValue)
		err = r.documents(ctx, 1, func(q Documents) error {
			r.Meter.begin("W7 a call, an update, an append", n)
			return measure(q, &call, func() error {
				var calls []time.Duration
				for i := range n {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					began := time.Now()
					if err := q.Update(ctx, 0, i%tenantDocs); err != nil {
						return err
					}
					calls = append(calls, time.Since(began))
					value[i%baselineValue]++
					if err := floors.update(i%tenantDocs, value); err != nil {
						return err
					}
					r.Meter.add(1)
				}
				call.spent(sum(calls), n)
				call.spread(calls)
				return nil
			})
		})
		if err != nil {
			return err
		}
		if r.System.Written == nil {
			r.beside = floors.made + floors.wrote[0] + floors.wrote[1]
		}
		r.emit(call)
		for _, row := range floors.rows(r.name) {
			r.emit(row)
		}
		return nil
	})
}

func sum(spans []time.Duration) (total time.Duration) {
	for _, d := range spans {
		total += d
	}
	return total
}
