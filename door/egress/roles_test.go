package egress

// roleVariable makes the test binary play a part in a function's network.
const roleVariable = "DARUMA_EGRESS_ROLE"

func play(string) int { return 2 }
