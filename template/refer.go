package template

import (
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// Ref returns what Ref says about a resource.
func (l *loader) Ref(id string, at tree.Pos) *tree.Node {
	if owner, what, dotted := strings.Cut(id, "."); dotted && l.Named(id) && l.there(l.resources[owner], at) {
		return l.refToGenerated(l.resources[owner], what, at)
	}
	r := l.resources[id]
	if r == nil {
		if owner := l.generated(id); owner != nil {
			if !l.there(owner, at) {
				return nil
			}
			return l.refToGenerated(owner, strings.TrimPrefix(id, owner.id), at)
		}
		l.unresolved(id, l.block(), at)
		return nil
	}
	if !l.there(r, at) {
		return nil
	}
	switch r.typ {
	case lambdaVersion:
		return l.versionARN(r, at)
	case lambdaAlias:
		return l.aliasARN(r, at)
	case serverlessLayer, lambdaLayer:
		return l.derived(r, at, func(name string) string { return l.arn("lambda", "layer:"+name+":1") })
	case restResource, restMethod, restDeployment, httpIntegration, httpRoute, httpDeployment:
		return tree.Text(at, id10(l, r))
	case lambdaURL:
		return l.urlTarget(r, at)
	case sqsQueue:
		return l.derived(r, at, l.queueURL)
	case snsTopic:
		return l.derived(r, at, func(name string) string { return l.arn("sns", name) })
	case snsSubscription:
		return tree.Text(at, l.subscriptionARN(r))
	}
	if _, built := attributes[r.typ]; built {
		return l.physicalName(r, at)
	}
	return l.foreignRef(r, at)
}

func id10(l *loader, r *resource) string { return id(apiIDLength, l.app.Name, r.id) }

// block is the section that is being worked out.
func (l *loader) block() string {
	if l.current == nil {
		return "Outputs"
	}
	return "Resources"
}

// there says whether a resource exists, and complains when its condition does not hold.
func (l *loader) there(r *resource, at tree.Pos) bool {
	if !r.exists {
		l.fault(at, "Template format error: Unresolved resource dependencies ["+r.id+"] in the "+l.block()+" block of the template",
			r.id+" does not exist because its condition "+r.node.Get("Condition").Text+" does not hold: use Fn::If")
	}
	return r.exists
}

// derived makes a value of a resource's name.
func (l *loader) derived(r *resource, at tree.Pos, f func(name string) string) *tree.Node {
	name := l.physicalName(r, at)
	if name == nil || name.Kind == tree.Broken {
		return name
	}
	return &tree.Node{Pos: at, Kind: tree.String, Text: f(name.Text), Refs: name.Refs}
}

// nameProperty is the property that gives a resource of a type its physical name.
func nameProperty(typ string) string {
	switch typ {
	case serverlessFunction, lambdaFunction:
		return "FunctionName"
	case serverlessLayer, lambdaLayer:
		return "LayerName"
	case restStage, httpStage:
		return "StageName"
	case sqsQueue:
		return "QueueName"
	case snsTopic:
		return "TopicName"
	case ssmParameter:
		return "Name"
	case cloudwatchAlarm:
		return "AlarmName"
	case dynamoTable, simpleTable:
		return "TableName"
	case roleType:
		return "RoleName"
	case logGroupType:
		return "LogGroupName"
	case "AWS::IAM::ManagedPolicy":
		return "ManagedPolicyName"
	case "AWS::IAM::User":
		return "UserName"
	case "AWS::IAM::Group":
		return "GroupName"
	}
	return foreigners[typ].name
}

// physicalName works out a resource's name, once.
func (l *loader) physicalName(r *resource, at tree.Pos) *tree.Node {
	if r.named == nil {
		if r.busy {
			l.fault(at, "Circular dependency between resources: ["+r.id+"]", "its name depends on itself")
			return nil
		}
		r.busy = true
		r.named = l.nameOf(r)
		r.busy = false
	}
	if r.named.Kind == tree.Broken {
		return nil
	}
	n := *r.named
	n.Pos = at
	return &n
}

func (l *loader) nameOf(r *resource) *tree.Node {
	if property := nameProperty(r.typ); property != "" {
		if given := r.props.Get(property); given != nil {
			before := l.current
			l.current = r
			var v *tree.Node
			l.scope.At(property, func() { v = l.scope.Eval(given) })
			l.current = before
			switch {
			case v == nil:
			case v.IsScalar():
				return &tree.Node{Pos: v.Pos, Kind: tree.String, Text: v.Text, Refs: v.Refs}
			default:
				return &tree.Node{Pos: given.Pos} // its reader complains
			}
		}
	}
	name := l.physical(r.id)
	switch r.typ {
	case serverlessFunction, lambdaFunction, serverlessLayer, lambdaLayer:
		name = r.id
		if len(name) > 64 {
			name = shorten(name, 51) + "-" + id(12, r.id)
		}
	case serverlessAPI, serverlessHTTPAPI, restAPI, httpAPI:
		name = id10(l, r)
	case sqsQueue:
		if fifo := l.property(r, "FifoQueue"); fifo != nil && fifo.Text == "true" {
			name += ".fifo"
		}
	case snsTopic:
		if fifo := l.property(r, "FifoTopic"); fifo != nil && fifo.Text == "true" {
			name += ".fifo"
		}
	case experimentTemplate:
		name = "EXT" + id(experimentIDLength, l.app.Name, r.id)
	}
	return &tree.Node{Pos: r.at, Kind: tree.String, Text: name}
}

// property works out one property of another resource as text, or returns nil.
func (l *loader) property(r *resource, name string) *tree.Node {
	given := r.props.Get(name)
	if given == nil {
		return nil
	}
	before := l.current
	l.current = r
	var v *tree.Node
	l.scope.At(name, func() { v = l.scope.Eval(given) })
	l.current = before
	if !v.IsScalar() {
		return nil
	}
	return v
}

// stageName returns the name of an API's stage.
func (l *loader) stageName(r *resource, at tree.Pos) *tree.Node {
	if v := l.property(r, "StageName"); v != nil {
		return &tree.Node{Pos: at, Kind: tree.String, Text: v.Text, Refs: v.Refs}
	}
	if r.typ == serverlessHTTPAPI {
		return tree.Text(at, "$default")
	}
	return tree.Text(at, "Prod")
}

// Attribute returns what Fn::GetAtt says about a resource.
func (l *loader) Attribute(id, name string, at tree.Pos) *tree.Node {
	r := l.resources[id]
	if r == nil {
		owner := l.generated(id)
		if owner == nil {
			l.unresolved(id, l.block(), at)
			return nil
		}
		if !l.there(owner, at) {
			return nil
		}
		return l.attributeOfGenerated(owner, id, name, at)
	}
	if !l.there(r, at) {
		return nil
	}
	known, built := attributes[r.typ]
	if !built {
		return l.foreignAttribute(r, name, at)
	}
	if owner, attr, dotted := strings.Cut(name, "."); dotted && l.Named(id+"."+owner) && slices.Contains([]string{"Version.Version", "Version.FunctionArn", "Alias.AliasArn"}, name) {
		if attr == "Version" {
			return &tree.Node{Pos: at, Kind: tree.String, Text: "1", Refs: []tree.Ref{{ID: id, Attr: name}}}
		}
		return l.Ref(id+"."+owner, at)
	}
	if !slices.Contains(known, name) {
		l.fault(at, "Template error: resource "+id+" does not support attribute type "+name+" in Fn::GetAtt", tree.Near(name, known))
		return nil
	}
	switch name {
	case "RootResourceId":
		return tree.Text(at, l.rootResource(r))
	case "FunctionUrl":
		return tree.Text(at, l.urlHost(r.id))
	case "Version":
		return l.versionNumber(r, at)
	case "ApiEndpoint":
		return l.derived(r, at, func(name string) string { return "https://" + l.apiHost(name) })
	case "TopicName":
		return l.physicalName(r, at)
	case "Type", "Value":
		return l.storedAttribute(r, name, at)
	case "TopicArn":
		return l.Ref(id, at)
	case "LayerVersionArn", "AliasArn":
		return l.Ref(id, at)
	case "FunctionArn":
		if r.typ == lambdaURL {
			return l.Ref(id, at)
		}
		return l.versionARN(r, at)
	case "QueueUrl":
		return l.Ref(id, at)
	case "QueueName":
		return l.physicalName(r, at)
	case "StreamArn":
		return l.derived(r, at, func(name string) string { return l.tableARN(name) + "/stream/" + TableStreamLabel })
	case "Arn", "PolicyArn":
		if r.typ == snsSubscription {
			return l.Ref(id, at)
		}
		return l.derived(r, at, func(name string) string { return l.ownARN(r.typ, name) })
	case "RestApiId", "ApiId", "ResourceId", "DeploymentId", "IntegrationId", "RouteId", "RoleName", "Id":
		return l.Ref(id, at)
	case "SnapStartResponse.ApplyOn":
		return tree.Text(at, "None")
	case "SnapStartResponse.OptimizationStatus":
		return tree.Text(at, "Off")
	}
	return tree.Text(at, l.physical(r.id+name))
}

func (l *loader) ownARN(typ, name string) string {
	switch typ {
	case sqsQueue:
		return l.arn("sqs", name)
	case cloudwatchAlarm:
		return l.arn("cloudwatch", "alarm:"+name)
	case dynamoTable, simpleTable:
		return l.tableARN(name)
	case roleType:
		return l.arn("iam", "role/"+name)
	case logGroupType:
		return l.arn("logs", "log-group:"+name+":*")
	case "AWS::IAM::ManagedPolicy":
		return l.arn("iam", "policy/"+name)
	case "AWS::IAM::User":
		return l.arn("iam", "user/"+name)
	case "AWS::IAM::Group":
		return l.arn("iam", "group/"+name)
	case "AWS::IAM::InstanceProfile":
		return l.arn("iam", "instance-profile/"+name)
	case "AWS::IAM::OIDCProvider":
		return l.arn("iam", "oidc-provider/"+name)
	case "AWS::IAM::SAMLProvider":
		return l.arn("iam", "saml-provider/"+name)
	}
	return l.arn("lambda", "function:"+name)
}

// apiHost is the host of an API on AWS.
func (l *loader) apiHost(id string) string {
	return id + ".execute-api." + l.app.Place.Region + "." + l.scope.Parameters["AWS::URLSuffix"].Text
}

// urlHost is the address of a function URL on AWS. It ends with a slash, as there.
func (l *loader) urlHost(logical string) string {
	return "https://" + id(urlIDLength, l.app.Name, logical) + ".lambda-url." + l.app.Place.Region + ".on.aws/"
}
