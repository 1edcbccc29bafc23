// Command dist makes what .ci/dist publishes beside binaries, the same from the same files on
// any machine:
//
//	dist archive OUT DIR            DIR as a .tar.gz or a .zip, under its name
//	dist sbom NAME VERSION BINARY   what is linked into the binary, as CycloneDX
//	dist notices BINARY             the licenses of what is linked
//
// Every file is dated as SOURCE_DATE_EPOCH says, in seconds since 1970.
package main
