package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"sync"
)

//go:embed static
var static embed.FS

// scripts are the scripts by name, each with a hash of its content: another one has another address, so
// that a browser may keep what it has.
var scripts = sync.OnceValue(func() map[string]string {
	list, err := static.ReadDir("static")
	if err != nil {
		panic(err)
	}
	hashes := map[string]string{}
	for _, file := range list {
		text, err := static.ReadFile("static/" + file.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(text)
		hashes[file.Name()] = hex.EncodeToString(sum[:8])
	}
	return hashes
})

// StaticPattern is where the scripts are, below Request.Base.
const StaticPattern = "/static/{hash}/{file}"

// Static is the address of a script.
func (r *Request) Static(name string) string {
	return r.Base + "/static/" + scripts()[name] + "/" + name
}

// Script answers with a script, which every caller may read and keep.
func Script(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	hash, known := scripts()[name]
	if !known || hash != r.PathValue("hash") {
		http.NotFound(w, r)
		return
	}
	text, err := static.ReadFile("static/" + name)
	if err != nil {
		panic(err)
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(text)
}
