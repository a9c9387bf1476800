b = None
