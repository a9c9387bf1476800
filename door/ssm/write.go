package ssm

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/daruma-io/daruma/door/wire"
	"github.com/daruma-io/daruma/parameter"
)

// Sizes of values, by tier (API Reference, PutParameter).
const (
	standard         = "Standard"
	advanced         = "Advanced"
	intelligent      = "Intelligent-Tiering"
	standardBytesMax = 4096
)

func tierOf(p *parameter.Parameter) string { return cmp.Or(p.Tier, standard) }

// Check says, in the service's words, what is wrong with a parameter that is to
// be put, and settles its tier. A type is needed when it is new.
func Check(p *parameter.Parameter, isNew bool) error {
	if refused := check(p, isNew); refused != nil {
		return refused
	}
	return nil
}

func check(p *parameter.Parameter, isNew bool) *wire.Error {
	if refused := checkName(p.Name); refused != nil {
		return refused
	}
	switch {
	case p.Type == "" && isNew:
		return validation("A parameter type is required when you create a parameter.")
	case p.Type == "SecureString":
		return validation("SecureString is not supported here: there is no key service, and a value that is stored as it is must not be called secure. Use String for what is no secret.")
	case p.Type != "" && p.Type != parameter.String && p.Type != parameter.StringList:
		return constraint("type", p.Type, "satisfy enum value set: [SecureString, StringList, String]")
	case p.Value == "":
		return constraint("value", "", "have length greater than or equal to 1")
	case !slices.Contains([]string{"", standard, advanced, intelligent}, p.Tier):
		return constraint("tier", p.Tier, "satisfy enum value set: [Standard, Intelligent-Tiering, Advanced]")
	case len(p.Description) > 1024:
		return constraint("description", p.Description[:32]+"...", "have length less than or equal to 1024")
	case len(p.Pattern) > 1024:
		return constraint("allowedPattern", p.Pattern[:32]+"...", "have length less than or equal to 1024")
	}
	if p.Tier == intelligent {
		p.Tier = standard
		if len(p.Value) > standardBytesMax {
			p.Tier = advanced
		}
	}
	if len(p.Value) > standardBytesMax && p.Tier != advanced {
		return validation("Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html")
	}
	if len(p.Value) > parameter.ValueBytesMax {
		return validation("Advanced tier parameters support a maximum parameter value of 8192 characters.")
	}
	if _, err := regexp.Compile(p.Pattern); err != nil {
		return refusal("InvalidAllowedPatternException", "The request doesn't meet the regular expression requirement: "+err.Error())
	}
	return nil
}

type tag struct{ Key, Value string }

func tagsOf(list []tag) (map[string]string, *wire.Error) {
	if len(list) > parameter.TagsMax {
		return nil, refusal("TooManyTagsError", "A parameter has at most "+strconv.Itoa(parameter.TagsMax)+" tags.")
	}
	tags := map[string]string{}
	for _, t := range list {
		if t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 {
			return nil, validation("A tag has a key of 1 to 128 characters and a value of up to 256.")
		}
		tags[t.Key] = t.Value
	}
	return tags, nil
}

// put answers PutParameter.
func (d *Door) put(c *call, in *struct {
	Name, Type, Value, Description, AllowedPattern, Tier, DataType, KeyId, Policies string
	Overwrite                                                                       bool
	Tags                                                                            []tag
}) (any, *wire.Error) {
	p := parameter.Parameter{Name: in.Name, Type: in.Type, Value: in.Value, Description: in.Description, Pattern: in.AllowedPattern, Tier: in.Tier, By: c.Caller.ARN}
	old, err := d.cfg.Parameters.Get(c.ctx, in.Name, 0)
	isNew := err != nil
	if !isNew && in.Overwrite && p.Tier == "" {
		p.Tier = old.Tier
	}
	if refused := check(&p, isNew); refused != nil {
		return nil, refused
	}
	switch {
	case in.DataType != "" && in.DataType != "text":
		return nil, validation("The data type " + in.DataType + " is not supported here: there is text.")
	case in.KeyId != "":
		return nil, refusal("InvalidKeyId", "There is no key service here, and KeyId is for SecureString.")
	case in.Policies != "" && in.Policies != "[]":
		return nil, refusal("UnsupportedOperation", "Policies of parameters are not supported here: nothing would expire or be told.")
	case in.Overwrite && len(in.Tags) > 0:
		return nil, validation("Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	}
	tags, refused := tagsOf(in.Tags)
	if refused != nil {
		return nil, refused
	}
	p.Tags = tags
	got, err := d.cfg.Parameters.Put(c.ctx, p, in.Overwrite)
	if err != nil {
		return nil, failed(err)
	}
	return struct {
		Tier    string
		Version uint64
	}{tierOf(got), got.Version}, nil
}

// delete answers DeleteParameter.
func (d *Door) delete(c *call, in *struct{ Name string }) (any, *wire.Error) {
	p, s, refused := d.find(c, in.Name)
	if refused != nil {
		return nil, refused
	}
	if s.selector != "" {
		return nil, noParameter(in.Name)
	}
	gone, err := d.cfg.Parameters.Delete(c.ctx, p.Name)
	if err != nil {
		return nil, failed(err)
	}
	if len(gone) == 0 { // somebody else was faster
		return nil, noParameter(in.Name)
	}
	return struct{}{}, nil
}

// deleteSome answers DeleteParameters.
func (d *Door) deleteSome(c *call, in *struct{ Names []string }) (any, *wire.Error) {
	if refused := checkNames(in.Names); refused != nil {
		return nil, refused
	}
	gone, err := d.cfg.Parameters.Delete(c.ctx, in.Names...)
	if err != nil {
		return nil, failed(err)
	}
	invalid := slices.DeleteFunc(slices.Clone(in.Names), func(name string) bool { return slices.Contains(gone, name) })
	return struct{ DeletedParameters, InvalidParameters []string }{gone, append([]string{}, invalid...)}, nil
}

// A tagged is what requests about tags name.
type tagged struct{ ResourceType, ResourceId string }

// resource finds the parameter whose tags a request is about.
func (d *Door) resource(c *call, in tagged) (*parameter.Parameter, *wire.Error) {
	if in.ResourceType != "Parameter" {
		return nil, refusal("InvalidResourceType", in.ResourceType+" is no type of resource that is here: there are parameters")
	}
	p, _, refused := d.find(c, in.ResourceId)
	if refused != nil {
		return nil, refusal("InvalidResourceId", "The resource ID is not valid. Verify that you entered the correct ID and try again.")
	}
	return p, nil
}

// tag answers AddTagsToResource.
func (d *Door) tag(c *call, in *struct {
	tagged
	Tags []tag
}) (any, *wire.Error) {
	p, refused := d.resource(c, in.tagged)
	if refused != nil {
		return nil, refused
	}
	tags, refused := tagsOf(in.Tags)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Parameters.Tag(c.ctx, p.Name, tags, nil); err != nil {
		return nil, failed(err)
	}
	return struct{}{}, nil
}

// untag answers RemoveTagsFromResource.
func (d *Door) untag(c *call, in *struct {
	tagged
	TagKeys []string
}) (any, *wire.Error) {
	p, refused := d.resource(c, in.tagged)
	if refused != nil {
		return nil, refused
	}
	if err := d.cfg.Parameters.Tag(c.ctx, p.Name, nil, in.TagKeys); err != nil {
		return nil, failed(err)
	}
	return struct{}{}, nil
}

// listTags answers ListTagsForResource.
func (d *Door) listTags(c *call, in *tagged) (any, *wire.Error) {
	p, refused := d.resource(c, *in)
	if refused != nil {
		return nil, refused
	}
	list := []tag{}
	for key, value := range p.Tags {
		list = append(list, tag{key, value})
	}
	slices.SortFunc(list, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	return struct{ TagList []tag }{list}, nil
}
