//! What certificates say.
//!
//! In: names and the present instant. Out: certificate parameters, signed PEM. Never: a file; a key kept.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Validity of the CA's certificate, in days.
pub const CA_DAYS: i64 = 3650;
/// Validity of server and client certificates, in days.
pub const LEAF_DAYS: i64 = 365;
/// A certificate with fewer days left is renewed.
pub const RENEWAL_DAYS: i64 = 30;

/// Most groups in one client certificate: what a distinguished name of `rcgen` can hold.
pub const MAX_GROUPS: usize = 2;

/// A new CA: (certificate PEM, key PEM).
pub(super) fn authority(name: &str, now: Timestamp) -> Result<(String, String), String> {
    let key = generate()?;
    let mut params = CertificateParams::default();
    validity(&mut params, now, CA_DAYS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key).map_err(|error| format!("CA certificate: {error}"))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// CN=user, O=groups.
pub(super) fn client(user: &str, groups: &[&str], now: Timestamp) -> Result<CertificateParams, String> {
    if user.is_empty() {
        return Err("a client certificate needs a user name".to_owned());
    }
    if groups.len() > MAX_GROUPS {
        return Err(format!("a client certificate holds at most {MAX_GROUPS} groups"));
    }
    let mut params = CertificateParams::default();
    validity(&mut params, now, LEAF_DAYS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, user);
    for (index, group) in groups.iter().enumerate() {
        // A distinguished name of this library keeps one value per type; the second takes the same object identifier as a custom type.
        let organization = if index == 0 { DnType::OrganizationName } else { DnType::CustomDnType(vec![2, 5, 4, 10]) };
        params.distinguished_name.push(organization, *group);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// A server that answers under `names` (host names and addresses).
pub(super) fn server(names: &[String], now: Timestamp) -> Result<CertificateParams, String> {
    let mut params =
        CertificateParams::new(names.to_vec()).map_err(|error| format!("server certificate for {}: {error}", names.join(", ")))?;
    validity(&mut params, now, LEAF_DAYS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "piecework");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Signs for a new key: (certificate PEM, key PEM).
pub(super) fn sign(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String), String> {
    let key = generate()?;
    let certificate = params.signed_by(&key, issuer).map_err(|error| format!("certificate: {error}"))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn generate() -> Result<KeyPair, String> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| format!("private key: {error}"))
}

/// From yesterday on, so that clocks may differ a little.
fn validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let date = |offset: i64| {
        let day = (now + SignedDuration::from_hours(24 * offset)).to_zoned(TimeZone::UTC).date();
        rcgen::date_time_ymd(i32::from(day.year()), day.month().unsigned_abs(), day.day().unsigned_abs())
    };
    params.not_before = date(-1);
    params.not_after = date(days);
    params.use_authority_key_identifier_extension = true;
}

/// Whether a certificate has fewer than `RENEWAL_DAYS` left.
pub(super) fn expires_soon(pem: &str, now: Timestamp) -> Result<bool, String> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("certificate: {error}"))?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| format!("certificate: {error}"))?;
    let left = certificate.validity().not_after.timestamp() - now.as_second();
    Ok(left < RENEWAL_DAYS * 24 * 3600)
}
