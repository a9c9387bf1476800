package console

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/daruma-io/daruma/ledger"
	"github.com/daruma-io/daruma/topic"
)

// A Topic is what is shown of a topic.
type Topic struct {
	Name          string         `json:"name"`
	LogicalID     string         `json:"logicalId,omitempty"`
	FIFO          bool           `json:"fifo,omitempty"`
	KeepDays      int            `json:"keepDays,omitempty"` // in the archive; 0: there is none
	Account       topic.Account  `json:"account"`
	Subscriptions []Subscription `json:"subscriptions"`
}

// A Subscription is what is shown of a subscription.
type Subscription struct {
	ID         string `json:"id"`
	LogicalID  string `json:"logicalId,omitempty"`
	Protocol   string `json:"protocol"`
	Endpoint   string `json:"endpoint"`
	Raw        bool   `json:"raw,omitempty"`
	Pending    bool   `json:"pending,omitempty"` // it waits to be confirmed
	Replay     string `json:"replay,omitempty"`  // how far it has come
	Filter     string `json:"filter,omitempty"`
	DeadLetter string `json:"deadLetter,omitempty"`
	Waiting    int64  `json:"waiting"` // to be posted
}

// Topics is how the console reaches topics.
type Topics struct {
	List    func(ctx context.Context) ([]Topic, error)
	Publish func(ctx context.Context, name string, m topic.Message) (topic.Published, error)
	Redrive func(ctx context.Context, id ledger.ID, body []byte) (topic.Redriven, error)
}

// A Publication is what /api/publish is asked for.
type Publication struct {
	Topic   string        `json:"topic"`
	Body    string        `json:"body"`
	Message topic.Message `json:"message"`
}

func (d *Door) topics(w http.ResponseWriter, r *http.Request) {
	list, err := d.cfg.Topics.List(r.Context())
	d.reply(w, list, err)
}

func (d *Door) publish(w http.ResponseWriter, r *http.Request) {
	var p Publication
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4*topic.MessageBytesMax)).Decode(&p); err != nil {
		refuse(w, http.StatusBadRequest, "the message: "+err.Error())
		return
	}
	p.Message.Body = []byte(p.Body)
	done, err := d.cfg.Topics.Publish(r.Context(), p.Topic, p.Message)
	d.reply(w, done, err)
}
