package node

import (
	"context"
	"fmt"
	"strconv"

	"github.com/daruma-io/daruma"
	"github.com/daruma-io/daruma/catalog"
	"github.com/daruma-io/daruma/door/ssm"
	"github.com/daruma-io/daruma/parameter"
	"github.com/daruma-io/daruma/template"
)

// openParameterDoor makes the way in to parameters.
func (n *Node) openParameterDoor(place catalog.Place) error {
	door, err := ssm.New(ssm.Config{Parameters: n.parameters, Place: place})
	if err != nil {
		return err
	}
	n.front.Register("ssm", door.Service())
	return nil
}

// deployParameters makes the parameters that the template declares those there
// are, before any function starts that reads them.
func (n *Node) deployParameters(ctx context.Context, wishes []parameter.Parameter) error {
	removed, err := n.parameters.Deploy(ctx, wishes)
	if err != nil {
		return err
	}
	for _, name := range removed {
		n.cfg.Progress("the parameter " + name + " is no longer in the template: it was removed")
	}
	return nil
}

// parameterOf is what a template declares.
func parameterOf(is *template.StoredText) (parameter.Parameter, error) {
	p := parameter.Parameter{Name: is.Name, Type: is.Type, Value: is.Value, Description: is.Description, Pattern: is.Pattern, Tier: is.Tier, Tags: is.Tags,
		By: "template", LogicalID: is.LogicalID, Retain: is.Retain}
	return p, ssm.Check(&p, true)
}

// stored is the value of a parameter as it will be when the template is deployed:
// what is kept, unless the template says of it what it did not say before.
func (n *Node) stored(ctx context.Context, name string, version uint64, declared *template.StoredText) (string, error) {
	newest, err := n.parameters.Get(ctx, name, 0)
	if err != nil && daruma.KindOf(err) != daruma.KindNotFound {
		return "", err
	}
	if declared != nil {
		wish, err := parameterOf(declared)
		if err != nil {
			return "", err
		}
		next := uint64(1)
		if newest != nil && newest.Type == wish.Type {
			next = newest.Version + 1
		}
		if (newest == nil || !newest.Fulfils(wish)) && (version == 0 || version == next) {
			return wish.Value, nil
		}
	}
	kept, err := n.parameters.Get(ctx, name, version)
	if daruma.KindOf(err) == daruma.KindNotFound {
		if version > 0 {
			name += ":" + strconv.FormatUint(version, 10)
		}
		return "", &daruma.Error{Kind: daruma.KindNotFound, Err: fmt.Errorf("there is no parameter %s, neither kept nor declared", name), Hint: "declare it as an AWS::SSM::Parameter, or put it while the app is up with --allow-unsupported"}
	}
	if err != nil {
		return "", err
	}
	return kept.Value, nil
}
