package dispatch

// EncodeIdentity is what AsCaller stores.
var EncodeIdentity = encodeIdentity
