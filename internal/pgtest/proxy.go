package pgtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Fate is what a proxy does with a statement.
type Fate int

// The fates.
const (
	Pass      Fate = iota
	CutBefore      // the connection is cut, and the server never sees the statement
	CutAfter       // the connection is cut when the server has answered, and the answer is lost
)

// Proxy stands between a client and a server, and knows where a message begins.
type Proxy struct {
	// Canceled counts the requests to cancel a statement, which are not passed on.
	Canceled atomic.Int64

	socket   string
	listener net.Listener
	running  sync.WaitGroup

	mu        sync.Mutex
	fate      func(statement string) Fate
	processID uint32
	away      bool
	conns     map[net.Conn]bool
}

// NewProxy starts a proxy for the socket of a server. It ends with the test.
func NewProxy(tb testing.TB, socket string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{socket: socket, listener: listener, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	tb.Cleanup(func() {
		_ = listener.Close()
		p.CutAll()
		p.running.Wait()
	})
	return p
}

// Address is that of the server, through the proxy.
func (p *Proxy) Address() string {
	return "postgres://postgres@" + p.listener.Addr().String() + "/postgres?sslmode=disable"
}

// SetFate has fn decide what becomes of each prepared statement, by its name. It is called
// before the server sees the statement, and may block.
func (p *Proxy) SetFate(fn func(statement string) Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fate = fn
}

// SetProcessID has new connections be told that number of the server's process, as by a pooler.
func (p *Proxy) SetProcessID(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.processID = id
}

// CutConnect has new connections, and none of before, be cut at once.
func (p *Proxy) CutConnect(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = cut
}

// CutAll cuts all connections.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		away := p.away
		p.mu.Unlock()
		server, err := net.Dial("unix", p.socket)
		if err != nil || away {
			if err == nil {
				_ = server.Close()
			}
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		l := &link{proxy: p, client: client, server: server}
		p.running.Go(func() { l.run(l.toServer) })
		p.running.Go(func() { l.run(l.toClient) })
	}
}

// link is a connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	cut            atomic.Bool // when the server is ready
}

func (l *link) run(pass func() error) {
	_ = pass() // it always ends in an error
	_ = l.client.Close()
	_ = l.server.Close()
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.conns, l.client)
	delete(l.proxy.conns, l.server)
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
		switch {
		case typed == 0 && len(m) >= 8 && binary.BigEndian.Uint32(m[4:]) == cancelRequest:
			l.proxy.Canceled.Add(1)
			return io.EOF
		case typed == 1 && m[0] == 'B': // bind: portal, statement
			names := bytes.SplitN(m[5:], []byte{0}, 3)
			switch l.proxy.fateOf(string(names[1])) {
			case CutBefore:
				return io.EOF
			case CutAfter:
				l.cut.Store(true)
			}
		}
		if _, err := l.server.Write(m); err != nil {
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
		case l.cut.Load() && m[0] == 'Z': // ready for the next
			return io.EOF
		case l.cut.Load():
			continue
		case m[0] == 'K' && id != 0: // key to cancel with
			binary.BigEndian.PutUint32(m[5:], id)
		}
		if _, err := l.client.Write(m); err != nil {
			return err
		}
	}
}
