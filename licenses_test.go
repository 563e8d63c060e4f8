package main

import (
	"strings"
	"testing"

	"diagsh/assets"
	"diagsh/internal/licenses"
)

// The program contains the license of every module that is linked into it.
func TestLicenses(t *testing.T) {
	t.Parallel()
	want, err := licenses.Text()
	if err != nil {
		t.Fatal(err)
	}
	if assets.Licenses != string(want) {
		t.Error("assets/licenses.txt is not of the modules in go.mod; write it with: make licenses")
	}
	for _, part := range []string{"golang.org/x/crypto v", "github.com/miekg/dns v",
		"Redistribution and use in source and binary forms", "Apache License", "NOTICE"} {
		if !strings.Contains(assets.Licenses, part) {
			t.Errorf("the licenses lack %q", part)
		}
	}
}
