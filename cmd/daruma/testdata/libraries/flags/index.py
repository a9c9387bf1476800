from failureflags import FailureFlag


def handler(event, context):
    active, impacted, experiments = FailureFlag("pay", {"card": event.get("card", "")}, debug=True).invoke()
    return {"active": active, "impacted": impacted, "experiments": len(experiments)}
