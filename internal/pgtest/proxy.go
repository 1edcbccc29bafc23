package pgtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fate is what a proxy does with a statement or a message.
type Fate int

// The fates. A message has been passed on, or has not, when its connection is cut; a statement
// has been answered, in place of passed on.
const (
	Pass      Fate = iota
	CutBefore      // the connection is cut, and the other side never sees it
	CutAfter       // the connection is cut behind it; the answer to a statement is lost
)

// Message is one of PostgreSQL's protocol, on its way through a proxy.
type Message struct {
	ToServer  bool
	Type      byte   // 0: the first one of a connection
	Statement string // name of the prepared one that it binds
}

// Proxy stands between a client and a server, and knows where a message begins.
type Proxy struct {
	// Canceled counts the requests to cancel a statement, which are not passed on.
	Canceled atomic.Int64
	// Accepted counts connections.
	Accepted atomic.Int64

	listener net.Listener
	running  sync.WaitGroup

	mu        sync.Mutex
	socket    string
	fate      func(statement string) Fate
	message   func(Message) Fate
	processID uint32
	away      bool
	deaf      bool
	delay     time.Duration
	held      chan struct{} // closed by Release; nil: nothing is held
	links     map[*link]bool
	ended     bool
}

// NewProxy starts a proxy for the socket of a server. It ends with the test.
func NewProxy(tb testing.TB, socket string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{socket: socket, listener: listener, links: map[*link]bool{}}
	p.running.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		p.set(func() { p.ended = true })
		p.CutAll()
		p.running.Wait()
	})
	return p
}

// Address is that of the server, through the proxy.
func (p *Proxy) Address() string {
	return "postgres://postgres@" + p.Host() + "/postgres?sslmode=disable"
}

// Host is where the proxy listens, with its port.
func (p *Proxy) Host() string { return p.listener.Addr().String() }

// set changes what becomes of messages that come from now on.
func (p *Proxy) set(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
}

// SetServer has new connections go to that socket.
func (p *Proxy) SetServer(socket string) { p.set(func() { p.socket = socket }) }

// SetFate has fn decide what becomes of each prepared statement, by its name. It is called
// before the server sees the statement, and may block.
func (p *Proxy) SetFate(fn func(statement string) Fate) { p.set(func() { p.fate = fn }) }

// SetMessageFate has fn decide what becomes of each message, in either direction. It may block.
func (p *Proxy) SetMessageFate(fn func(Message) Fate) { p.set(func() { p.message = fn }) }

// SetProcessID has new connections be told that number of the server's process, as by a pooler.
func (p *Proxy) SetProcessID(id uint32) { p.set(func() { p.processID = id }) }

// CutConnect has new connections, and none of before, be cut at once.
func (p *Proxy) CutConnect(cut bool) { p.set(func() { p.away = cut }) }

// HalfOpen has new connections, and none of before, be accepted and never answered.
func (p *Proxy) HalfOpen(deaf bool) { p.set(func() { p.deaf = deaf }) }

// Delay has each message, in either direction, wait for that long.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Hold has all bytes of all connections wait for Release, which delivers them, also where the
// one that has sent them has gone.
func (p *Proxy) Hold() { p.set(func() { p.held = make(chan struct{}) }) }

// Release ends a Hold.
func (p *Proxy) Release() { p.set(func() { close(p.held); p.held = nil }) }

// CutAll cuts all connections.
func (p *Proxy) CutAll() {
	p.set(func() {
		for l := range p.links {
			l.cut()
		}
	})
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.Accepted.Add(1)
		p.mu.Lock()
		away, deaf, socket := p.away, p.deaf, p.socket
		p.mu.Unlock()
		l := &link{proxy: p, client: client, ended: make(chan struct{})}
		if deaf {
			p.add(l)
			p.running.Go(func() { l.run(l.ignore) })
			continue
		}
		server, err := net.Dial("unix", socket)
		if err != nil || away {
			if err == nil {
				_ = server.Close()
			}
			_ = client.Close()
			continue
		}
		l.server = server
		p.add(l)
		p.running.Go(func() { l.run(l.toServer) })
		p.running.Go(func() { l.run(l.toClient) })
	}
}

// add has CutAll know the connection.
func (p *Proxy) add(l *link) {
	p.set(func() {
		if p.links[l] = true; p.ended {
			l.cut()
		}
	})
}

// link is a connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	last           atomic.Bool // statement of the connection: its answer is lost
	once           sync.Once
	ended          chan struct{}
}

func (l *link) run(pass func() error) {
	_ = pass() // it always ends in an error
	l.cut()
	l.proxy.set(func() { delete(l.proxy.links, l) })
}

func (l *link) cut() {
	l.once.Do(func() {
		close(l.ended)
		_ = l.client.Close()
		if l.server != nil {
			_ = l.server.Close()
		}
	})
}

// ignore reads, and does nothing.
func (l *link) ignore() error {
	_, err := io.Copy(io.Discard, l.client)
	return err
}

// pass sends a message on to its other side, unless its fate is another one.
func (l *link) pass(to net.Conn, m []byte, is Message) error {
	p := l.proxy
	p.mu.Lock()
	decide, delay := p.message, p.delay
	p.mu.Unlock()
	fate := Pass
	if decide != nil {
		fate = decide(is)
	}
	if fate == CutBefore {
		return io.EOF
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-l.ended:
			return io.EOF
		}
	}
	for {
		p.mu.Lock()
		held := p.held
		p.mu.Unlock()
		if held == nil {
			break
		}
		select {
		case <-held:
		case <-l.ended:
			return io.EOF
		}
	}
	if _, err := to.Write(m); err != nil {
		return err
	}
	if fate == CutAfter {
		return io.EOF
	}
	return nil
}

// cancelRequest begins a connection that asks to cancel a statement of another one.
const cancelRequest = 80877102

// message reads a message with its head, which has a type but for the first one.
func message(r io.Reader, typed int) ([]byte, error) {
	head := make([]byte, typed+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[typed:])
	if size < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	all := append(head, make([]byte, size-4)...)
	_, err := io.ReadFull(r, all[typed+4:])
	return all, err
}

func (l *link) toServer() error {
	for typed := 0; ; typed = 1 {
		m, err := message(l.client, typed)
		if err != nil {
			return err
		}
		is := Message{ToServer: true}
		switch {
		case typed == 0 && len(m) >= 8 && binary.BigEndian.Uint32(m[4:]) == cancelRequest:
			l.proxy.Canceled.Add(1)
			return io.EOF
		case typed == 1:
			is.Type = m[0]
		}
		if is.Type == 'B' { // bind: portal, statement
			is.Statement = string(bytes.SplitN(m[5:], []byte{0}, 3)[1])
			switch l.proxy.fateOf(is.Statement) {
			case CutBefore:
				return io.EOF
			case CutAfter:
				l.last.Store(true)
			}
		}
		if err := l.pass(l.server, m, is); err != nil {
			return err
		}
	}
}

func (p *Proxy) fateOf(statement string) Fate {
	p.mu.Lock()
	fate := p.fate
	p.mu.Unlock()
	if fate == nil {
		return Pass
	}
	return fate(statement)
}

func (l *link) toClient() error {
	for {
		m, err := message(l.server, 1)
		if err != nil {
			return err
		}
		l.proxy.mu.Lock()
		id := l.proxy.processID
		l.proxy.mu.Unlock()
		switch {
		case l.last.Load() && m[0] == 'Z': // ready for the next
			return io.EOF
		case l.last.Load():
			continue
		case m[0] == 'K' && id != 0: // key to cancel with
			binary.BigEndian.PutUint32(m[5:], id)
		}
		if err := l.pass(l.client, m, Message{Type: m[0]}); err != nil {
			return err
		}
	}
}
