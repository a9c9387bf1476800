"""What handlers import of AWS's client: the context's classes, for their types.

A client that a function brings goes before this one.
"""

import sys
import types

import __main__

__path__ = []  # as a package

lambda_context = types.ModuleType(__name__ + ".lambda_context")
for _class in (__main__.LambdaContext, __main__.ClientContext, __main__.Client, __main__.CognitoIdentity):
    setattr(lambda_context, _class.__name__, _class)
sys.modules[lambda_context.__name__] = lambda_context
