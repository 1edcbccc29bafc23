package actors

import "carillon/storage"

// Tokens returns the tokens of the engine's store, which let operators in by package server.
func (e *Engine) Tokens() storage.Tokens { return e.store.Tokens() }
