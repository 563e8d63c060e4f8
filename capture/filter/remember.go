package filter

import (
	"context"
	"net/netip"
	"strings"
	"sync"
)

// Remember returns Names that ask others for each host once. A round robin answers every question
// differently, so all that is compiled for one capture must share one answer. A failure is
// remembered too, unless it is the end of the caller's context.
func Remember(others Names) Names {
	return &memory{Names: others, hosts: make(map[string]answer)}
}

type memory struct {
	Names

	mu    sync.Mutex // held during a look-up, so that a second caller waits for its answer
	hosts map[string]answer
}

type answer struct {
	addresses []netip.Addr
	err       error
}

func (m *memory) Hosts(ctx context.Context, name string) ([]netip.Addr, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.hosts[name]; ok {
		return known.addresses, known.err
	}
	addresses, err := m.Names.Hosts(ctx, name)
	if ctx.Err() == nil {
		m.hosts[name] = answer{addresses, err}
	}
	return addresses, err
}

// WithAddresses returns an expression with the addresses of hosts in the place of their names,
// which matches the same packets: "src host mail" becomes "src host (192.0.2.1 or 2001:db8::1)".
// Names that are no addresses of IP stay, as in "ether host" and "gateway". So does a name that
// cannot be looked up, and an expression that Compile refuses: Compile says what is wrong with
// them.
func WithAddresses(ctx context.Context, expression string, names Names) string {
	if len(expression) > maxExpression {
		return expression
	}
	p := &parser{expression: expression, tokens: lex(expression)}
	if _, err := p.parseAll(); err != nil {
		return expression
	}
	hosts := p.hosts()
	var b strings.Builder
	end := 0
	for i, t := range p.tokens {
		id := hosts[t.pos]
		if id == nil || t.kind != tokenName {
			continue
		}
		list := addressesFor(ctx, id, names)
		if len(list) == 0 {
			continue
		}
		text := strings.Join(list, " or ")
		// A list in parentheses must not begin with another one; as and, or bind equally and to the
		// left, it needs none.
		if len(list) > 1 && p.tokens[i-1].kind != tokenOpen {
			text = "(" + text + ")"
		}
		b.WriteString(expression[end:t.pos] + text)
		end = t.pos + len(t.text)
		if expression[t.pos] == '\\' {
			end++
		}
	}
	return b.String() + expression[end:]
}

// hosts returns the names of hosts in the expression whose addresses are of IP, by where they are.
func (p *parser) hosts() map[int]*identifier {
	hosts := make(map[int]*identifier)
	for _, n := range p.done {
		id, ok := n.(*identifier)
		if !ok || id.kind != identName || id.q.typ != typeHost && id.q.typ != typeDefault {
			continue
		}
		if id.q.proto != protoLink && id.q.proto != protoDECnet {
			hosts[id.pos] = id
		}
	}
	return hosts
}

// addressesFor returns the addresses that a name stands for under its qualifiers.
func addressesFor(ctx context.Context, id *identifier, names Names) (list []string) {
	if _, err := netip.ParseAddr(id.text); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	found, err := names.Hosts(ctx, id.text)
	if err != nil {
		return nil
	}
	for _, a := range found {
		if a.Is4() && id.q.proto != protoIPv6 || !a.Is4() && id.q.proto != protoIP {
			list = append(list, a.String())
		}
	}
	return list
}
