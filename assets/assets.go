// Package assets holds what is embedded in the binary.
package assets

import _ "embed"

// Help is the help of the command diagsh.
//
//go:embed usage.txt
var Help string

// ServeUsage is the help of diagsh serve.
//
//go:embed serve-usage.txt
var ServeUsage string

// Services is the catalogue of services.
//
//go:embed services.yaml
var Services []byte

// Licenses is the license texts of what the program is linked from (make licenses).
//
//go:embed licenses.txt
var Licenses string

// DropReasons says what the kernel's reasons for dropping packets mean.
//
//go:embed dropreasons.txt
var DropReasons string
