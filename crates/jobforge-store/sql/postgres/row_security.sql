-- Whether this role sees jobforge_jobs through row security, which owners do not.
SELECT row_security_active('jobforge_jobs')
