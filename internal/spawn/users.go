package spawn

import (
	"errors"
	"math/rand/v2"
	"sync"
)

// Session processes of an appliance that runs as root get users of their own, from the range that
// systemd keeps for users without an entry in passwd(5) ("dynamic users", its documentation
// UIDS-GIDS.md). No two live sessions share one, so none can signal or trace another.
const (
	FirstUser = 61184
	LastUser  = 65519
)

var errNoUser = errors.New("all users for session processes are taken")

// A userPool hands out user ids. The group has the same number.
type userPool struct {
	first, last int

	mu    sync.Mutex
	taken map[int]bool
}

func newUserPool(first, last int) *userPool {
	return &userPool{first: first, last: last, taken: map[int]bool{}}
}

// take returns a free user id. It begins at a random place: an id is not given again at once, and a
// second appliance on this host rarely meets it.
func (p *userPool) take() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := p.last - p.first + 1
	start := rand.IntN(size)
	for i := range size {
		user := p.first + (start+i)%size
		if !p.taken[user] {
			p.taken[user] = true
			return user, nil
		}
	}
	return 0, errNoUser
}

func (p *userPool) give(user int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, user)
}
