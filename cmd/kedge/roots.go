package main

// The certificate authorities that Mozilla trusts, for machines that have none
// of their own: an image with nothing but kedge in it, an empty root directory.
// Where the system has some, only those count.
import _ "golang.org/x/crypto/x509roots/fallback"
