// Package proto holds what Carillon writes down: the records of a volume and
// of an exported app, as Protocol Buffers with their generated Go.
//
// The encoders and decoders that are used, MarshalVT and UnmarshalVT, are generated
// too: they need neither reflection nor, for the record itself, the heap.
//
// Nothing here has behaviour. Package storage encodes and decodes; no other
// package of the module reads these types.
//
// Use:
//
//	record := &proto.Job{Version: 1, Function: "notes:burn"}
//	data, err := record.MarshalVT()
//
// Invariants:
//
//	P1  Every top-level record has a version; a reader refuses one it does not know.
//	P2  A field number is never reused and a field never changes its meaning.
//	P3  Instants are milliseconds since 1970 UTC, never nanoseconds (those overflow in 2262).
//
// After an edit of carillon.proto run "go generate ./proto" (needs protoc,
// Debian package protobuf-compiler) and commit the result.
package proto

//go:generate sh -c "GOBIN=\"$(pwd)/.bin\" go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12"
//go:generate sh -c "GOBIN=\"$(pwd)/.bin\" go install github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto@v0.6.0"
//go:generate sh -c "PATH=\"$(pwd)/.bin:$PATH\" protoc --go_out=. --go_opt=paths=source_relative --go-vtproto_out=. --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size carillon.proto && rm -rf .bin"
