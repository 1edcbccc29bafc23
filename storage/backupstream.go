package storage

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// A backup is a stream of frames behind backupMagic: one header, then the rows of all
// volumes, or the records of their logs, and one end.
//
//	frame   kind, 1 byte │ length, 4 bytes │ body │ checksum, 4 bytes
//
// Each checksum is that of all bytes before it, so that no frame can be changed, left out
// or moved. Numbers are big-endian.
const (
	backupMagic   = "carillon backup\n"
	backupVersion = 1

	frameHeader = 'H'
	frameRows   = 'D'
	frameRecord = 'L'
	frameEnd    = 'E'
)

const (
	// maxFrame bounds the body of a frame: the largest record of a log, and some.
	maxFrame = 64<<20 + 1<<20
	// backupChunk is how many bytes of rows a frame has, but for the last row.
	backupChunk = 256 << 10
)

// frameWriter writes frames.
type frameWriter struct {
	w     *bufio.Writer
	sum   uint32
	bytes int64
}

// newFrameWriter begins a backup.
func newFrameWriter(w io.Writer) (*frameWriter, error) {
	f := &frameWriter{w: bufio.NewWriterSize(w, 64<<10)}
	return f, f.write([]byte(backupMagic))
}

func (f *frameWriter) write(p []byte) error {
	f.sum = crc32.Update(f.sum, castagnoli, p)
	f.bytes += int64(len(p))
	_, err := f.w.Write(p)
	return err
}

func (f *frameWriter) frame(kind byte, m interface{ MarshalVT() ([]byte, error) }) error {
	body, err := m.MarshalVT()
	switch {
	case err != nil:
		return err
	case len(body) > maxFrame:
		return fmt.Errorf("%w: a row or record of %d bytes is too large for a backup", ErrLimit, len(body))
	}
	err = errors.Join(f.write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))), f.write(body))
	return errors.Join(err, f.write(binary.BigEndian.AppendUint32(nil, f.sum)))
}

// frameReader reads frames. Its errors name the offset of the frame that is wrong.
type frameReader struct {
	r   *bufio.Reader
	sum uint32
	at  int64 // where the latest frame begins
	end int64 // where the next one begins
}

// newFrameReader begins to read a backup, and returns its header.
func newFrameReader(r io.Reader) (*frameReader, *proto.BackupHeader, error) {
	f := &frameReader{r: bufio.NewReaderSize(r, 64<<10)}
	magic := make([]byte, len(backupMagic))
	switch n, err := io.ReadFull(f.r, magic); {
	case cutOff(err) && string(magic[:n]) == backupMagic[:n]:
		return nil, nil, f.wrong("the backup ends before its header")
	case err != nil && !cutOff(err):
		return nil, nil, err
	case string(magic) != backupMagic:
		return nil, nil, fmt.Errorf("%w: it is no backup of a store", ErrFormat)
	}
	f.took(magic)
	kind, body, err := f.next()
	if err != nil {
		return nil, nil, err
	}
	header := &proto.BackupHeader{}
	if err := header.UnmarshalVT(body); err != nil || kind != frameHeader {
		return nil, nil, f.wrong("it is no header")
	}
	if header.Version != backupVersion {
		return nil, nil, fmt.Errorf("%w: the backup has version %d, this reader knows %d", ErrFormat, header.Version, backupVersion)
	}
	if header.Volumes < 1 || header.Volumes > maxVolumes {
		return nil, nil, f.wrong("the store has %d volumes", header.Volumes)
	}
	return f, header, nil
}

func (f *frameReader) took(p []byte) {
	f.sum = crc32.Update(f.sum, castagnoli, p)
	f.end += int64(len(p))
}

// wrong says what is wrong with the latest frame.
func (f *frameReader) wrong(format string, args ...any) error {
	return fmt.Errorf("%w: offset %d: "+format, append([]any{ErrCorrupt, f.at}, args...)...)
}

// next reads one frame. The body is the caller's.
func (f *frameReader) next() (kind byte, body []byte, err error) {
	f.at = f.end
	head := make([]byte, 5)
	if err := f.fill(head); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size > maxFrame {
		return 0, nil, f.wrong("a frame of %d bytes", size)
	}
	// It grows as bytes come: the length may be wrong, too.
	var b bytes.Buffer
	switch _, err := io.CopyN(&b, f.r, int64(size)); {
	case cutOff(err):
		return 0, nil, f.wrong("the backup ends inside a frame")
	case err != nil:
		return 0, nil, err
	}
	f.took(b.Bytes())
	sum, want := make([]byte, 4), f.sum
	if err := f.fill(sum); err != nil {
		return 0, nil, err
	}
	if binary.BigEndian.Uint32(sum) != want {
		return 0, nil, f.wrong("the checksum does not match")
	}
	return head[0], b.Bytes(), nil
}

// fill reads as many bytes as p has.
func (f *frameReader) fill(p []byte) error {
	_, err := io.ReadFull(f.r, p)
	if cutOff(err) {
		return f.wrong("the backup ends early")
	}
	f.took(p)
	return err
}

// last sees that nothing follows the end.
func (f *frameReader) last() error {
	f.at = f.end
	switch _, err := f.r.ReadByte(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return f.wrong("the backup goes on after its end")
}

func cutOff(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// position is a moment of a store: how far each volume was.
type position struct {
	store  uint64
	places []kv.Place
}

// String is the position as BackupInfo has it.
func (p position) String() string {
	m := proto.BackupPosition{Version: backupVersion, Store: p.store}
	for _, at := range p.places {
		m.Places = append(m.Places, &proto.BackupPlace{Seq: at.Seq, Chain: at.Chain})
	}
	return base64.RawURLEncoding.EncodeToString(encoded(m.MarshalVT()))
}

// CheckPosition says why the text is no BackupInfo.Position: ErrInvalid, or ErrFormat of one of a
// later release. It is nil for one of any store. For engines.
func CheckPosition(text string) error {
	_, err := parsePosition(text)
	return err
}

func parsePosition(text string) (position, error) {
	var m proto.BackupPosition
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = m.UnmarshalVT(data)
	}
	switch {
	case err != nil || len(m.Places) == 0:
		return position{}, invalid("%.40q is no position of a backup", text)
	case m.Version != backupVersion:
		return position{}, fmt.Errorf("%w: a position of version %d, this reader knows %d", ErrFormat, m.Version, backupVersion)
	}
	p := position{store: m.Store}
	for _, at := range m.Places {
		p.places = append(p.places, kv.Place{Seq: at.Seq, Chain: at.Chain})
	}
	return p, nil
}
