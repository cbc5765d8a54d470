//! A configuration without a file, from `--upstream URL[=WEIGHT]`: everything is passed on to one pool, or
//! in shares to several.

use super::bounds::TARGETS_MAX;
use super::expand::is_variable_name;
use super::{
    Admin, Config, Drain, Endpoint, Identity, Limits, Listen, Log, Pool, Queue, Route, RouteTimeouts,
    SEGMENT_DEFAULT, Secret, Segment, Target, WEIGHT_SUM, WILDCARD_ROUTE, WhenFull, url, weights,
};

/// One `--upstream`.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamArgument {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Its share in proportion to the others', if it was given one.
    pub weight: Option<f64>,
}

impl UpstreamArgument {
    /// Reads `URL` or `URL=WEIGHT`: what follows the last `=` is a weight if it is a number.
    ///
    /// # Errors
    ///
    /// One line that says what would be right; it does not repeat the URL, which may hold a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let weighted = text.rsplit_once('=').and_then(|(url, weight)| Some((url, weight.parse().ok()?)));
        let (url, weight) = match weighted {
            Some((url, weight)) if !url.contains('?') => (url, Some(weight)),
            _ => (text, None),
        };
        if weight.is_some_and(|weight: f64| !weight.is_finite() || weight < 0.0) {
            return Err("a weight is a number from 0, as in http://127.0.0.1:9001=0.5".to_owned());
        }
        let endpoint = url::endpoint(url).map_err(|complaint| complaint.to_string())?;
        Ok(Self { endpoint, weight })
    }
}

/// The configuration that `--upstream` arguments stand for: pool `upstream` behind the wildcard route, or,
/// with weights, pools `upstream-1`, `upstream-2`, … that share it. `key_env` names the environment variable
/// with the provider's key.
///
/// # Errors
///
/// One line that says what would be right.
pub fn from_upstreams(upstreams: &[UpstreamArgument], key_env: Option<&str>) -> Result<Config, String> {
    if key_env.is_some_and(|name| !is_variable_name(name)) {
        return Err(
            "`--upstream-key-env` takes the name of an environment variable, never the key".to_owned()
        );
    }
    let weights: Vec<f64> = upstreams.iter().filter_map(|upstream| upstream.weight).collect();
    let (mut pools, shares) = match (upstreams.len(), weights.len()) {
        (0, _) => return Err("at least one upstream is needed".to_owned()),
        (_, 0) => (vec![one_pool(upstreams)?], vec![WEIGHT_SUM]),
        (all, weighted) if all == weighted => {
            (pool_each(upstreams), weights::shares(&weights::in_proportion(&weights)))
        }
        _ => return Err("either every upstream has a weight or none has".to_owned()),
    };
    if shares.len() > TARGETS_MAX {
        return Err(format!("{} upstreams with weights, more than {TARGETS_MAX}", shares.len()));
    }
    if shares.iter().all(|&share| share == 0) {
        return Err("at least one upstream needs a weight above 0".to_owned());
    }
    for pool in &mut pools {
        pool.key = key_env.map(|name| Secret::Env(name.to_owned()));
    }
    let targets =
        shares.into_iter().enumerate().map(|(pool, weight)| Target { pool, model: None, weight }).collect();
    Ok(Config {
        listen: vec![Listen::default()],
        admin: Admin::default(),
        limits: Limits::default(),
        drain: Drain::default(),
        log: Log::default(),
        pools,
        routes: vec![Route {
            name: WILDCARD_ROUTE.to_owned(),
            targets,
            canary: Vec::new(),
            timeouts: RouteTimeouts::default(),
            when_full: WhenFull::Spill,
            queue: Queue::default(),
            allow: None,
        }],
        passthrough: Vec::new(),
        segments: vec![Segment::new(SEGMENT_DEFAULT)],
        anonymous: Some(0),
        identity: Identity::default(),
    })
}

fn one_pool(upstreams: &[UpstreamArgument]) -> Result<Pool, String> {
    let mut pool = Pool::new("upstream");
    for upstream in upstreams {
        if pool.endpoints.contains(&upstream.endpoint) {
            return Err(format!("{} is given twice", upstream.endpoint.authority()));
        }
        pool.endpoints.push(upstream.endpoint.clone());
    }
    Ok(pool)
}

fn pool_each(upstreams: &[UpstreamArgument]) -> Vec<Pool> {
    let named = |(index, upstream): (usize, &UpstreamArgument)| Pool {
        endpoints: vec![upstream.endpoint.clone()],
        ..Pool::new(format!("upstream-{}", index + 1))
    };
    upstreams.iter().enumerate().map(named).collect()
}
