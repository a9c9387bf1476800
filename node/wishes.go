package node

import (
	"fmt"
	"slices"
	"time"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/dynamodb"
	"github.com/daruma-io/daruma/door/fis"
	"github.com/daruma-io/daruma/door/lambda"
	"github.com/daruma-io/daruma/door/sns"
	"github.com/daruma-io/daruma/door/sqs"
	"github.com/daruma-io/daruma/drill"
	"github.com/daruma-io/daruma/parameter"
	"github.com/daruma-io/daruma/queue"
	"github.com/daruma-io/daruma/table/schema"
	"github.com/daruma-io/daruma/template"
	"github.com/daruma-io/daruma/topic"
)

// wishes are what a template declares beside functions, in the words of those
// who keep it. They are checked as a whole before anything is changed, so that
// nothing is half deployed because of what the template says.
type wishes struct {
	queues     []queue.Wish
	tables     []schema.Wish
	parameters []parameter.Parameter
	topics     topic.Deployment
	drills     []drill.Wish
}

// wishesOf checks all that t declares. What is wrong with it is KindInvalid, and
// names the resource and its place in the template.
func (n *Node) wishesOf(t *template.App) (*wishes, error) {
	w := &wishes{}
	for _, q := range t.Queues {
		s, err := sqs.Settings(t.Place, q.Name, q.Attributes)
		if err != nil {
			return nil, wrong("queue", q.LogicalID, q.Position, err)
		}
		s.Tags = q.Tags
		w.queues = append(w.queues, queue.Wish{Name: q.Name, LogicalID: q.LogicalID, Retain: q.Retain, Settings: s})
	}
	for _, is := range t.Tables {
		wish, err := dynamodb.Wish(is.Request, template.TableStreamLabel)
		if err != nil {
			return nil, wrong("table", is.LogicalID, is.Position, err)
		}
		wish.Declared, wish.Retain, wish.Expiry = is.LogicalID, is.Retain, is.Expiry
		w.tables = append(w.tables, wish)
	}
	for _, is := range t.StoredTexts {
		p, err := parameterOf(&is)
		if err != nil {
			return nil, wrong("parameter", is.LogicalID, is.Position, err)
		}
		w.parameters = append(w.parameters, p)
	}
	var err error
	if w.topics, err = topicsOf(t); err != nil {
		return nil, err
	}
	for _, is := range t.Experiments {
		wish, err := fis.Declared(is.ID, []byte(is.Request), n.front.Serves(), n.declaredAlarm(t))
		if err != nil {
			return nil, wrong("experiment template", is.LogicalID, is.Position, err)
		}
		wish.LogicalID, wish.Retain = is.LogicalID, is.Retain
		w.drills = append(w.drills, wish)
	}
	return w, n.checkMappings(t, w.queues)
}

// topicsOf returns the topics and subscriptions that t declares.
func topicsOf(t *template.App) (topic.Deployment, error) {
	d := topic.Deployment{Topics: []topic.Topic{}, Subscriptions: []topic.Subscription{}}
	named := map[string]*topic.Topic{}
	for _, is := range t.Topics {
		made, err := sns.TopicOf(is.Name, is.Attributes)
		if err != nil {
			return d, wrong("topic", is.LogicalID, is.Position, err)
		}
		made.LogicalID, made.Tags = is.LogicalID, is.Tags
		d.Topics = append(d.Topics, made)
		named[is.Name] = &made
	}
	for _, is := range t.Subscriptions {
		of := named[is.Topic]
		if of == nil {
			return d, wrong("subscription", is.LogicalID, is.Position, fmt.Errorf("there is no topic %s", is.Topic))
		}
		made, err := sns.SubscriptionOf(t.Place, of, is.Protocol, is.Endpoint, is.Attributes)
		if err != nil {
			return d, wrong("subscription", is.LogicalID, is.Position, err)
		}
		made.ID, made.LogicalID = is.ID, is.LogicalID
		d.Subscriptions = append(d.Subscriptions, made)
	}
	return d, nil
}

// checkMappings checks the mappings that t declares against sources that may not be there yet.
func (n *Node) checkMappings(t *template.App, queues []queue.Wish) error {
	for _, m := range t.Mappings {
		source, err := n.declaredSource(t.Place, m.Source, queues)
		if err == nil {
			_, err = mappingSettings(m, source, func(name string) time.Duration {
				if i := slices.IndexFunc(t.Functions, func(f *catalog.Function) bool { return f.Name == name }); i >= 0 {
					return t.Functions[i].Timeout
				}
				return 0
			})
		}
		if err != nil {
			return wrong("event source mapping", m.LogicalID, m.Position, err)
		}
	}
	return nil
}

// declaredSource is what an ARN names once everything that is declared is there.
func (n *Node) declaredSource(place catalog.Place, arn string, queues []queue.Wish) (lambda.EventSource, error) {
	name, ok := sqs.Name(place, arn)
	if !ok {
		return streamSource("", arn), nil // its table is made with it
	}
	if i := slices.IndexFunc(queues, func(q queue.Wish) bool { return q.Name == name }); i >= 0 {
		return queueSource(name, arn, queues[i].Settings.FIFO, queues[i].Settings.Hide), nil
	}
	return n.eventSource(arn)
}

func wrong(what, logicalID, position string, err error) error {
	return &daruma.Error{Op: "deploy " + what, Ref: logicalID, Kind: daruma.KindInvalid, Err: fmt.Errorf("%s: %w", position, err)}
}
