package dynamodb

import (
	"github.com/daruma-io/daruma/table/schema"
)

// The shapes of requests, from the API Reference. The order of members is that
// in which the service looks at them.

func text(name string, limits ...limit) field {
	return field{name: name, shape: stringShape(), limits: limits}
}

func needed(f field) field {
	f.need = true
	return f
}

func flagField(name string) field { return field{name: name, shape: &shape{typ: tBoolean}} }

func member(name string, s *shape, limits ...limit) field {
	return field{name: name, shape: s, limits: limits}
}

func tableField() field {
	return needed(text("TableName", append(nameLength(), named())...))
}

func indexField() field {
	return text("IndexName", lengthMax(255), lengthMin(3), named())
}

func consumedField() field {
	return text("ReturnConsumedCapacity", oneOf("INDEXES", "TOTAL", "NONE"))
}

func metricsField() field {
	return text("ReturnItemCollectionMetrics", oneOf("SIZE", "NONE"))
}

func returnField() field {
	return text("ReturnValues", oneOf("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"))
}

func failureField() field {
	return text("ReturnValuesOnConditionCheckFailure", oneOf("ALL_OLD", "NONE"))
}

func itemField(name string) field { return member(name, attributeMap) }

func namesField() field {
	return member("ExpressionAttributeNames", mapOf(stringShape(), "java.lang.String"))
}

func valuesField() field { return itemField("ExpressionAttributeValues") }

// Members of requests from before there were expressions.

func comparisons() limit {
	return oneOf("IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS")
}

func operatorField() field { return text("ConditionalOperator", oneOf("OR", "AND")) }

func conditionsField(name string) field {
	return member(name, mapOf(element(structure("Condition",
		member("AttributeValueList", listOf(attributeShape)),
		needed(text("ComparisonOperator", comparisons())),
	)), model+"Condition"))
}

func expectedField() field {
	return member("Expected", mapOf(element(structure("ExpectedAttributeValue",
		member("AttributeValueList", listOf(attributeShape)),
		text("ComparisonOperator", comparisons()),
		flagField("Exists"),
		member("Value", attributeMember()),
	)), model+"ExpectedAttributeValue"))
}

// attributeMember is a value that is a member of a structure.
func attributeMember() *shape { return &shape{typ: tAttribute, params: true} }

func attributesField() field {
	return member("AttributesToGet", listOf(stringShape()), lengthMin(1))
}

func putInput() *shape {
	return structure("PutItemInput", tableField(), needed(itemField("Item")), expectedField(), text("ConditionExpression"), operatorField(), valuesField(), namesField(),
		consumedField(), metricsField(), returnField(), failureField())
}

func deleteInput() *shape {
	return structure("DeleteItemInput", tableField(), needed(itemField("Key")), expectedField(), text("ConditionExpression"), operatorField(), valuesField(), namesField(),
		consumedField(), metricsField(), returnField(), failureField())
}

func updateInput() *shape {
	updates := mapOf(element(structure("AttributeValueUpdate", text("Action", oneOf("ADD", "DELETE", "PUT")), member("Value", attributeMember()))), model+"AttributeValueUpdate")
	return structure("UpdateItemInput", tableField(), needed(itemField("Key")), member("AttributeUpdates", updates), expectedField(), text("ConditionExpression"), text("UpdateExpression"), operatorField(), valuesField(), namesField(),
		consumedField(), metricsField(), returnField(), failureField())
}

func getInput() *shape {
	return structure("GetItemInput", tableField(), needed(itemField("Key")), attributesField(), text("ProjectionExpression"), namesField(), flagField("ConsistentRead"), consumedField())
}

func queryInput() *shape {
	// Of more than ten mistakes the last are not told: the order is the service's.
	return structure("QueryInput", text("Select", oneOf("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")), indexField(), consumedField(), conditionsField("QueryFilter"), tableField(), operatorField(),
		attributesField(), member("Limit", &shape{typ: tInteger}, valueMin(1)), conditionsField("KeyConditions"), flagField("ConsistentRead"),
		flagField("ScanIndexForward"), itemField("ExclusiveStartKey"), text("ProjectionExpression"), text("FilterExpression"), text("KeyConditionExpression"), namesField(), valuesField())
}

func scanInput() *shape {
	return structure("ScanInput", text("Select", oneOf("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")), indexField(), member("TotalSegments", &shape{typ: tInteger}, valueMin(1), valueMax(1000000)), consumedField(), tableField(), operatorField(),
		conditionsField("ScanFilter"), member("Segment", &shape{typ: tInteger}, valueMin(0), valueMax(999999)), member("Limit", &shape{typ: tInteger}, valueMin(1)), attributesField(), itemField("ExclusiveStartKey"),
		text("ProjectionExpression"), text("FilterExpression"), namesField(), valuesField(), flagField("ConsistentRead"))
}

func keysOfTables() []limit {
	return []limit{lengthMax(255), lengthMin(3), named()}
}

func batchGetInput() *shape {
	key := *attributeMap
	key.params = true
	keys := element(structure("KeysAndAttributes", needed(member("Keys", listOf(&key), lengthMax(100), lengthMin(1))), attributesField(), text("ProjectionExpression"), namesField(), flagField("ConsistentRead")))
	requests := mapOf(keys, model+"KeysAndAttributes")
	requests.limits = keysOfTables()
	return structure("BatchGetItemInput", needed(member("RequestItems", requests, lengthMax(100), lengthMin(1))), consumedField())
}

func batchWriteInput() *shape {
	write := element(structure("WriteRequest", member("PutRequest", structure("PutRequest", needed(itemField("Item")))), member("DeleteRequest", structure("DeleteRequest", needed(itemField("Key"))))))
	requests := mapOf(&shape{typ: tList, params: true, of: write}, "java.util.List<"+model+"WriteRequest>")
	requests.limits = keysOfTables()
	requests.of.limits = []limit{lengthMax(25), lengthMin(1)}
	return structure("BatchWriteItemInput", needed(member("RequestItems", requests, lengthMax(25), lengthMin(1))), consumedField(), metricsField())
}

func transactWriteInput() *shape {
	condition := []field{text("ConditionExpression"), namesField(), valuesField(), failureField()}
	with := func(name string, fields ...field) field {
		return member(name, structure(name, append(fields, condition...)...))
	}
	one := element(structure("TransactWriteItem",
		with("ConditionCheck", needed(itemField("Key")), tableField()),
		with("Put", needed(itemField("Item")), tableField()),
		with("Delete", needed(itemField("Key")), tableField()),
		with("Update", needed(itemField("Key")), needed(text("UpdateExpression")), tableField()),
	))
	for i := range one.fields {
		if one.fields[i].name == "ConditionCheck" {
			for k := range one.fields[i].shape.fields {
				if f := &one.fields[i].shape.fields[k]; f.name == "ConditionExpression" {
					f.need = true
				}
			}
		}
	}
	return structure("TransactWriteItemsInput", needed(member("TransactItems", listOf(one), lengthMax(100), lengthMin(1))), consumedField(), metricsField(), text("ClientRequestToken", lengthMax(36), lengthMin(1)))
}

func transactGetInput() *shape {
	get := structure("Get", needed(itemField("Key")), tableField(), text("ProjectionExpression"), namesField())
	one := element(structure("TransactGetItem", needed(member("Get", get))))
	return structure("TransactGetItemsInput", needed(member("TransactItems", listOf(one), lengthMax(100), lengthMin(1))), consumedField())
}

func throughputField() field {
	return member("ProvisionedThroughput", structure("ProvisionedThroughput",
		needed(member("ReadCapacityUnits", &shape{typ: tLong}, valueMin(1))), needed(member("WriteCapacityUnits", &shape{typ: tLong}, valueMin(1)))))
}

func encryptionField() field {
	return member("SSESpecification", structure("SSESpecification", flagField("Enabled"), text("SSEType", oneOf("AES256", "KMS")), text("KMSMasterKeyId")))
}

func keySchemaField(max int) field {
	return needed(member("KeySchema", listOf(element(structure("KeySchemaElement", needed(text("AttributeName", lengthMax(255), lengthMin(1))), needed(text("KeyType", oneOf("HASH", "RANGE")))))), lengthMax(max), lengthMin(1)))
}

func definitionsField() field {
	return member("AttributeDefinitions", listOf(element(structure("AttributeDefinition", needed(text("AttributeName", lengthMax(255), lengthMin(1))), needed(text("AttributeType", oneOf("B", "N", "S")))))))
}

func projectionField() field {
	return needed(member("Projection", structure("Projection", text("ProjectionType", oneOf("ALL", "INCLUDE", "KEYS_ONLY")), member("NonKeyAttributes", listOf(stringShape(lengthMax(255), lengthMin(1))), lengthMax(20), lengthMin(1)))))
}

func neededIndex() field { return needed(indexField()) }

func globalIndex() *shape {
	return structure("GlobalSecondaryIndex", neededIndex(), keySchemaField(2*schema.KeyAttributesMax), projectionField(), throughputField(), anything("OnDemandThroughput"), anything("WarmThroughput"))
}

// anything is a member that is a structure, whatever is in it.
func anything(name string) field { return member(name, structure(name)) }

func billingField() field { return text("BillingMode", oneOf("PROVISIONED", "PAY_PER_REQUEST")) }

func streamField() field {
	return member("StreamSpecification", structure("StreamSpecification", needed(flagField("StreamEnabled")), text("StreamViewType", oneOf("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"))))
}

func tagsField() field {
	return member("Tags", listOf(element(structure("Tag", needed(text("Key", lengthMax(128), lengthMin(1))), needed(text("Value", lengthMax(256)))))))
}

func classField() field {
	return text("TableClass", oneOf("STANDARD", "STANDARD_INFREQUENT_ACCESS"))
}

func createInput() *shape {
	local := element(structure("LocalSecondaryIndex", neededIndex(), keySchemaField(2), projectionField()))
	return structure("CreateTableInput", plainTableField(), needed(definitionsField()), keySchemaField(2), billingField(), throughputField(),
		member("LocalSecondaryIndexes", listOf(local)), member("GlobalSecondaryIndexes", listOf(element(globalIndex()))), streamField(), encryptionField(), tagsField(), classField(), flagField("DeletionProtectionEnabled"),
		anything("OnDemandThroughput"), anything("WarmThroughput"), text("ResourcePolicy"))
}

// plainTableField is a table's name where the operation says itself what is
// wrong with its length, or that it is missing.
func plainTableField() field { return text("TableName", named()) }

func alterInput() *shape {
	change := element(structure("GlobalSecondaryIndexUpdate",
		member("Update", structure("UpdateGlobalSecondaryIndexAction", neededIndex(), throughputField(), anything("OnDemandThroughput"), anything("WarmThroughput"))),
		member("Create", structure("CreateGlobalSecondaryIndexAction", globalIndex().fields...)),
		member("Delete", structure("DeleteGlobalSecondaryIndexAction", neededIndex())),
	))
	return structure("UpdateTableInput", plainTableField(), definitionsField(), billingField(), throughputField(), member("GlobalSecondaryIndexUpdates", listOf(change)), streamField(),
		encryptionField(), member("ReplicaUpdates", listOf(element(structure("ReplicationGroupUpdate")))), classField(), flagField("DeletionProtectionEnabled"), anything("OnDemandThroughput"), anything("WarmThroughput"))
}

func nameInput(name string) *shape { return structure(name, plainTableField()) }

// resourceField is the ARN of what has tags; the operation says itself that it is missing.
func resourceField() field { return text("ResourceArn", lengthMax(1283)) }

// operations are all that the door knows, by what the target header says.
func operations() map[string]*operation {
	all := map[string]*operation{}
	for name, op := range map[string]operation{
		"PutItem":                   {putInput(), (*Door).putItem},
		"DeleteItem":                {deleteInput(), (*Door).deleteItem},
		"UpdateItem":                {updateInput(), (*Door).updateItem},
		"GetItem":                   {getInput(), (*Door).getItem},
		"Query":                     {queryInput(), (*Door).query},
		"Scan":                      {scanInput(), (*Door).scan},
		"BatchGetItem":              {batchGetInput(), (*Door).batchGet},
		"BatchWriteItem":            {batchWriteInput(), (*Door).batchWrite},
		"TransactWriteItems":        {transactWriteInput(), (*Door).transactWrite},
		"TransactGetItems":          {transactGetInput(), (*Door).transactGet},
		"ExecuteStatement":          {statementInput("ExecuteStatementInput", executeFields()...), (*Door).executeStatement},
		"BatchExecuteStatement":     {batchStatementInput(), (*Door).batchExecute},
		"ExecuteTransaction":        {transactStatementInput(), (*Door).executeTransaction},
		"CreateTable":               {createInput(), (*Door).createTable},
		"UpdateTable":               {alterInput(), (*Door).updateTable},
		"DeleteTable":               {nameInput("DeleteTableInput"), (*Door).deleteTable},
		"DescribeTable":             {nameInput("DescribeTableInput"), (*Door).describeTable},
		"ListTables":                {structure("ListTablesInput", text("ExclusiveStartTableName", lengthMax(255), lengthMin(3), named()), member("Limit", &shape{typ: tInteger}, valueMin(1), valueMax(100))), (*Door).listTables},
		"UpdateTimeToLive":          {structure("UpdateTimeToLiveInput", tableField(), needed(member("TimeToLiveSpecification", structure("TimeToLiveSpecification", needed(text("AttributeName", lengthMax(255), lengthMin(1))), needed(flagField("Enabled")))))), (*Door).updateTimeToLive},
		"DescribeTimeToLive":        {nameInput("DescribeTimeToLiveInput"), (*Door).describeTimeToLive},
		"TagResource":               {structure("TagResourceInput", resourceField(), needed(tagsField())), (*Door).tagResource},
		"UntagResource":             {structure("UntagResourceInput", resourceField(), needed(member("TagKeys", listOf(stringShape(lengthMax(128), lengthMin(1)))))), (*Door).untagResource},
		"ListTagsOfResource":        {structure("ListTagsOfResourceInput", resourceField(), text("NextToken")), (*Door).listTags},
		"DescribeContinuousBackups": {structure("DescribeContinuousBackupsInput", tableField()), (*Door).describeBackups},
		"UpdateContinuousBackups":   {structure("UpdateContinuousBackupsInput", tableField(), needed(member("PointInTimeRecoverySpecification", structure("PointInTimeRecoverySpecification", needed(flagField("PointInTimeRecoveryEnabled")))))), (*Door).updateBackups},
		"DescribeLimits":            {structure("DescribeLimitsInput"), (*Door).describeLimits},
		"DescribeEndpoints":         {structure("DescribeEndpointsRequest"), (*Door).describeEndpoints},
	} {
		all[target+name] = &op
	}
	return all
}
