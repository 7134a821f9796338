package federation

// exampleMetadata is what a provider says of itself, with the certificate of a key that nobody has.
const exampleMetadata = `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="http://www.okta.com/exk1a2b3c"><IDPSSODescriptor ` +
	`protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>` +
	`<X509Certificate>MIIBejCCASGgAwIBAgIUdwOScK3pfw/iYdfqqnM6GVPXHOEwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHZXhhbXBsZTAgFw0yNjExMzAxNjU4MDBaGA8yMTI2MTEwNjE2NTgwMFowEjEQMA4GA1UEAwwHZXhhbXBsZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABB2tv1w2oV6/Cf8+qSsZNAgj79cGjwYslaZnGNRkNEbiV/KcPzXqWNVaQiqE5mjgRARgy+IxLA072OfOU+gBq9OjUzBRMB0GA1UdDgQWBBTYmd0ORYulVfRwZZziArJR3gvDqzAfBgNVHSMEGDAWgBTYmd0ORYulVfRwZZziArJR3gvDqzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIHglHZk5JPVIxbEU+IKZCZKv9uoxlwbWmFze0BaDxdZ5AiAFgnj3NmL7soGrphaFQE+D7y/L/UTAHa20qR1m45MJlQ==</X509Certificate></X509Data></KeyInfo></KeyDescriptor><SingleSignOnService ` +
	`Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://acme.okta.com/app/exk1a2b3c/sso/saml"/></IDPSSODescriptor></EntityDescriptor>`
