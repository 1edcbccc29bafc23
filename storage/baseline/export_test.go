package baseline

// OpenZerosOf is OpenZeros of a file of the size.
var OpenZerosOf = openZeros
