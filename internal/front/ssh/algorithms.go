package ssh

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// The client's order of preference decides what is used (RFC 4253 section 7.1). The server can only
// leave out what it does not want. Most clients show their lists at once, so the server can choose
// by them. It offers the weaker of two algorithms only to clients that do not know the better one.
// A client that waits for the server's list gets the strict one.

// preferredKex is offered to every client. Strict key exchange (the answer to Terrapin,
// CVE-2023-48795) comes with the library. nistKex is for clients that know none of these, such as
// those in FIPS mode.
func preferredKex() []string {
	return []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519}
}
func nistKex() []string {
	return []string{ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521}
}

// gcmCiphers are the fastest in Go on any processor with AES. OpenSSH's client prefers
// chacha20-poly1305 and AES-CTR, so these two are for clients without AES-GCM.
func gcmCiphers() []string { return []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM} }
func otherCiphers() []string {
	return []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR}
}

// aeadCiphers need no MAC.
func aeadCiphers() []string { return append(gcmCiphers(), ssh.CipherChaCha20Poly1305) }

// etmMACs are used with AES-CTR only. They are encrypt-then-MAC: nothing is decrypted that was
// changed. plainMACs are for clients that know no such MAC and no cipher without one, like
// everything on libssh2 up to 1.10 (curl and mc of Debian 12). The attacks on plain MACs were
// possible with CBC; AES-CTR has no padding.
func etmMACs() []string   { return []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM} }
func plainMACs() []string { return []string{ssh.HMACSHA256, ssh.HMACSHA512} }

// userKeys are the signatures by which users may log in. None uses SHA-1.
func userKeys() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512,
	}
}

// offer sets in config what this client is offered. hello is nil if the client has not shown its
// lists. client signs.
func offer(config *ssh.ServerConfig, keys hostKeys, client Client, hello *kexInit) {
	config.KeyExchanges = preferredKex()
	config.Ciphers = append(gcmCiphers(), otherCiphers()...)
	config.MACs = etmMACs()
	config.PublicKeyAuthAlgorithms = userKeys()
	config.AddHostKey(keys.signer(ssh.KeyAlgoED25519, client))
	config.AddHostKey(keys.signer(ssh.KeyAlgoRSA, client))
	if hello == nil {
		return
	}
	if !common(hello.KexAlgos, preferredKex()) {
		config.KeyExchanges = append(config.KeyExchanges, nistKex()...)
	}
	switch {
	case hello.cipher(gcmCiphers()):
		config.Ciphers = gcmCiphers()
	case hello.mac(etmMACs()):
	case hello.cipher(aeadCiphers()):
		config.Ciphers = aeadCiphers() // or its order of preference could choose one for which it has no MAC
	default:
		config.MACs = append(config.MACs, plainMACs()...)
	}
	// A client that prefers ECDSA knows the appliance by this key, or has no better one.
	ours := []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoED25519, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	first := slices.IndexFunc(hello.HostKeyAlgos, func(name string) bool { return slices.Contains(ours, name) })
	if first >= 0 && hello.HostKeyAlgos[first] == ssh.KeyAlgoECDSA256 {
		config.AddHostKey(keys.signer(ssh.KeyAlgoECDSA256, client))
	}
}

// cipher reports whether the client knows one of these ciphers for both directions.
func (k *kexInit) cipher(of []string) bool {
	return common(k.CiphersClientServer, of) && common(k.CiphersServerClient, of)
}

// mac reports whether the client knows one of these MACs for both directions.
func (k *kexInit) mac(of []string) bool {
	return common(k.MACsClientServer, of) && common(k.MACsServerClient, of)
}

// common reports whether a and b have a name in common.
func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}
