package template

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-io/daruma/template/tree"
)

// policyTemplates are SAM's policy templates with the parameters each takes, all of them required.
var policyTemplates = map[string][]string{
	"AMIDescribePolicy":                              {},
	"AWSSecretsManagerGetSecretValuePolicy":          {"SecretArn"},
	"AWSSecretsManagerRotationPolicy":                {"FunctionName"},
	"AcmGetCertificatePolicy":                        {"CertificateArn"},
	"AthenaQueryPolicy":                              {"WorkGroupName"},
	"CloudFormationDescribeStacksPolicy":             {},
	"CloudWatchDashboardPolicy":                      {},
	"CloudWatchDescribeAlarmHistoryPolicy":           {},
	"CloudWatchPutMetricPolicy":                      {},
	"CodeCommitCrudPolicy":                           {"RepositoryName"},
	"CodeCommitReadPolicy":                           {"RepositoryName"},
	"CodePipelineLambdaExecutionPolicy":              {},
	"CodePipelineReadOnlyPolicy":                     {"PipelineName"},
	"ComprehendBasicAccessPolicy":                    {},
	"CostExplorerReadOnlyPolicy":                     {},
	"DynamoDBBackupFullAccessPolicy":                 {"TableName"},
	"DynamoDBCrudPolicy":                             {"TableName"},
	"DynamoDBReadPolicy":                             {"TableName"},
	"DynamoDBReconfigurePolicy":                      {"TableName"},
	"DynamoDBRestoreFromBackupPolicy":                {"TableName"},
	"DynamoDBStreamReadPolicy":                       {"StreamName", "TableName"},
	"DynamoDBWritePolicy":                            {"TableName"},
	"EC2CopyImagePolicy":                             {"ImageId"},
	"EC2DescribePolicy":                              {},
	"EFSWriteAccessPolicy":                           {"AccessPoint", "FileSystem"},
	"EKSDescribePolicy":                              {},
	"EcsRunTaskPolicy":                               {"TaskDefinition"},
	"ElasticMapReduceAddJobFlowStepsPolicy":          {"ClusterId"},
	"ElasticMapReduceCancelStepsPolicy":              {"ClusterId"},
	"ElasticMapReduceModifyInstanceFleetPolicy":      {"ClusterId"},
	"ElasticMapReduceModifyInstanceGroupsPolicy":     {"ClusterId"},
	"ElasticMapReduceSetTerminationProtectionPolicy": {"ClusterId"},
	"ElasticMapReduceTerminateJobFlowsPolicy":        {"ClusterId"},
	"ElasticsearchHttpPostPolicy":                    {"DomainName"},
	"EventBridgePutEventsPolicy":                     {"EventBusName"},
	"FilterLogEventsPolicy":                          {"LogGroupName"},
	"FirehoseCrudPolicy":                             {"DeliveryStreamName"},
	"FirehoseWritePolicy":                            {"DeliveryStreamName"},
	"KMSDecryptPolicy":                               {"KeyId"},
	"KMSEncryptPolicy":                               {"KeyId"},
	"KMSEncryptPolicy_v2":                            {"KeyId"},
	"KinesisCrudPolicy":                              {"StreamName"},
	"KinesisStreamReadPolicy":                        {"StreamName"},
	"LambdaInvokePolicy":                             {"FunctionName"},
	"MobileAnalyticsWriteOnlyAccessPolicy":           {},
	"OrganizationsListAccountsPolicy":                {},
	"PinpointEndpointAccessPolicy":                   {"PinpointApplicationId"},
	"PollyFullAccessPolicy":                          {"LexiconName"},
	"RekognitionDetectOnlyPolicy":                    {},
	"RekognitionFacesManagementPolicy":               {"CollectionId"},
	"RekognitionFacesPolicy":                         {},
	"RekognitionLabelsPolicy":                        {},
	"RekognitionNoDataAccessPolicy":                  {"CollectionId"},
	"RekognitionReadPolicy":                          {"CollectionId"},
	"RekognitionWriteOnlyAccessPolicy":               {"CollectionId"},
	"Route53ChangeResourceRecordSetsPolicy":          {"HostedZoneId"},
	"S3CrudPolicy":                                   {"BucketName"},
	"S3FullAccessPolicy":                             {"BucketName"},
	"S3ReadPolicy":                                   {"BucketName"},
	"S3WritePolicy":                                  {"BucketName"},
	"SESBulkTemplatedCrudPolicy":                     {"IdentityName"},
	"SESBulkTemplatedCrudPolicy_v2":                  {"IdentityName", "TemplateName"},
	"SESCrudPolicy":                                  {"IdentityName"},
	"SESEmailTemplateCrudPolicy":                     {},
	"SESSendBouncePolicy":                            {"IdentityName"},
	"SNSCrudPolicy":                                  {"TopicName"},
	"SNSPublishMessagePolicy":                        {"TopicName"},
	"SQSPollerPolicy":                                {"QueueName"},
	"SQSSendMessagePolicy":                           {"QueueName"},
	"SSMParameterReadPolicy":                         {"ParameterName"},
	"SSMParameterWithSlashPrefixReadPolicy":          {"ParameterName"},
	"SageMakerCreateEndpointConfigPolicy":            {"EndpointConfigName"},
	"SageMakerCreateEndpointPolicy":                  {"EndpointName"},
	"ServerlessRepoReadWriteAccessPolicy":            {},
	"StepFunctionsCallbackPolicy":                    {"StateMachineName"},
	"StepFunctionsExecutionPolicy":                   {"StateMachineName"},
	"StepFunctionsExecutionPolicy_v2":                {"StateMachineName"},
	"TextractDetectAnalyzePolicy":                    {},
	"TextractGetResultPolicy":                        {},
	"TextractPolicy":                                 {},
	"VPCAccessPolicy":                                {},
}

// policies reads Policies: one policy or a list, each the name or ARN of a
// managed policy, an inline document, or a policy template with its parameters.
// Nothing is enforced; what is wrong with them is wrong on AWS too.
func (p *properties) policies(name string) []string {
	v := p.value(name)
	if v == nil {
		return nil
	}
	list := []*tree.Node{v}
	if v.Kind == tree.List {
		list = v.Items
	}
	var out []string
	for _, item := range list {
		switch {
		case item.Kind == tree.Broken:
		case item.IsScalar():
			out = append(out, item.Text)
		case item.Kind == tree.Map:
			out = append(out, p.policy(name, item)...)
		default:
			p.fault(name, item.Pos, "a policy is a name, an ARN, a document or a policy template, not "+item.Kind.String(), "")
		}
	}
	return out
}

// policy reads a policy that is a map.
func (p *properties) policy(name string, n *tree.Node) []string {
	if n.Get("Statement") != nil {
		document, err := json.Marshal(n.Value())
		if err != nil {
			return nil
		}
		return []string{string(document)}
	}
	if len(n.Fields) != 1 {
		p.fault(name, n.Pos, "a policy that is a map has a Statement, or is one policy template", "")
		return nil
	}
	f := n.Fields[0]
	parameters, known := policyTemplates[f.Name]
	if !known {
		p.fault(name, f.Pos, "there is no policy template "+f.Name, tree.Near(f.Name, slices.Sorted(maps.Keys(policyTemplates))))
		return nil
	}
	if empty := f.Value.Kind == tree.Null && len(parameters) == 0; !empty && f.Value.Kind != tree.Map {
		if f.Value.Kind != tree.Broken {
			p.fault(name, f.Value.Pos, "the policy template "+f.Name+" takes a map of parameters, not "+f.Value.Kind.String(), "")
		}
		return nil
	}
	words := []string{f.Name}
	for _, parameter := range parameters {
		v := f.Value.Get(parameter)
		if v == nil {
			p.fault(name, f.Pos, "Must specify valid parameter values for policy template '"+f.Name+"': "+parameter+" is missing", tree.Near(parameter, f.Value.Names()))
			continue
		}
		words = append(words, parameter+"="+v.Text)
	}
	for _, given := range f.Value.Fields {
		if !slices.Contains(parameters, given.Name) {
			p.fault(name, given.Pos, "Must specify valid parameter values for policy template '"+f.Name+"': it has no parameter "+given.Name, tree.Near(given.Name, parameters))
		}
	}
	return []string{strings.Join(words, " ")}
}
