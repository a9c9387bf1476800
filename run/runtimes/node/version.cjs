// The Node.js version whose contract holds: that of the runtime the function
// asks for, not that of the interpreter it happens to run on.
'use strict';
const asked = /^AWS_Lambda_nodejs(\d+)/.exec(process.env.AWS_EXECUTION_ENV || '');
module.exports = { major: Number(asked ? asked[1] : process.versions.node.split('.')[0]) };
