//! `weir router adjust`: stages a weight for the target that a model's name means; `discard` forgets what is staged.

use http::Method;
use serde_json::json;

use super::fleet::{Fleet, Undo, staged};
use super::state::{RouteState, State, TargetState};
use super::{Stop, outcome, show, table};
use crate::cli::{RouterAdjust, RouterDiscard};
use crate::command::admin_client::{Admin, Asked, escape};

pub(super) async fn adjust(asked: &RouterAdjust) -> Result<(), Stop> {
    // Before anybody is asked, as the same mistake would be everywhere.
    let weight = router_core::config::parse_weight(&asked.weight)
        .map_err(|problem| Stop::Usage(format!("--weight: {problem}")))?;
    let fleet = Fleet::of(Admin::all(&asked.operate)?).await?;
    let (route, target) = meant(fleet.first(), &asked.model, asked.route.as_deref()).map_err(Stop::Usage)?;
    fleet.agree(&format!("weights of route {route}"), |state| {
        state.route(&route).map(|route| (route.in_force(), route.next()))
    })?;
    let path = format!("/admin/v1/routes/{}/targets/{}", escape(&route), escape(&target));
    let body = json!({ "weight": crate::admin::ratio(weight) });
    let change = Asked::new(Method::PATCH, path).with(body);
    let after = fleet.change(Undo::Deploy, |_| change.clone()).await?;
    show(asked.operate.json, &outcome(&fleet, &after), || {
        let next = "Staged, not in force yet: `weir router deploy` puts it there.\n";
        let is_staged = after[0].route(&route).is_some_and(RouteState::is_staged);
        let next =
            if is_staged { next } else { "This is in force already: nothing is staged on this route.\n" };
        let changed = table::change(fleet.first(), &after[0], RouteState::next);
        let unchanged = format!("route {route}: as before\n");
        format!("{}{}{next}", table::on(&fleet), if changed.is_empty() { unchanged } else { changed })
    })
}

pub(super) async fn discard(asked: &RouterDiscard) -> Result<(), Stop> {
    let fleet = Fleet::of(Admin::all(&asked.operate)?).await?;
    let known = |state: &State| state.route(&asked.route).map(RouteState::next);
    fleet.agree(&format!("weights of route {}", asked.route), known)?;
    let after = fleet.change(Undo::Deploy, |_| Asked::new(Method::DELETE, staged(&asked.route))).await?;
    show(asked.operate.json, &outcome(&fleet, &after), || {
        format!("{}route {}: nothing is staged any more\n", table::on(&fleet), asked.route)
    })
}

/// The route and target that a model's name means: `pool/model`, or a model or a pool alone where that is clear.
fn meant(state: &State, model: &str, route: Option<&str>) -> Result<(String, String), String> {
    let names = |routes: &[&RouteState]| {
        routes.iter().map(|route| route.route.as_str()).collect::<Vec<_>>().join(", ")
    };
    let all: Vec<&RouteState> = state.routes.iter().collect();
    let routes: Vec<&RouteState> =
        all.iter().copied().filter(|one| route.is_none_or(|route| one.route == route)).collect();
    if routes.is_empty() {
        let wanted = route.unwrap_or_default();
        return Err(format!("--route {wanted}: there is no such route; the routes are {}", names(&all)));
    }
    // What is named in full is not meant to be something else as well.
    let full = |target: &TargetState| target.target == model;
    let short = |target: &TargetState| {
        target.model() == Some(model) || target.target.split_once('/').is_some_and(|(pool, _)| pool == model)
    };
    let any_full = routes.iter().any(|route| route.targets.iter().any(full));
    let is_meant = |target: &TargetState| if any_full { full(target) } else { short(target) };
    let having: Vec<&RouteState> =
        routes.iter().copied().filter(|route| route.targets.iter().any(is_meant)).collect();
    match having[..] {
        [] => {
            let mut known: Vec<&str> =
                routes.iter().flat_map(|route| &route.targets).map(|target| &*target.target).collect();
            known.sort_unstable();
            known.dedup();
            Err(format!("--model {model}: there is no such target; the targets are {}", known.join(", ")))
        }
        [one] => {
            let targets: Vec<&str> =
                one.targets.iter().filter(|target| is_meant(target)).map(|target| &*target.target).collect();
            match targets[..] {
                [target] => Ok((one.route.clone(), target.to_owned())),
                _ => Err(format!(
                    "--model {model} means several targets of route {}: name one of {}",
                    one.route,
                    targets.join(", ")
                )),
            }
        }
        _ => Err(format!(
            "--model {model} is a target of several routes: name one of {} with --route",
            names(&having)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let route = |name: &str, targets: &[(&str, Option<&str>)]| {
            let target = |(label, model): &(&str, Option<&str>)| json!({ "target": label, "weight": 0.5, "model": model });
            json!({ "route": name, "source": "file", "targets": targets.iter().map(target).collect::<Vec<_>>() })
        };
        let routes = [
            route("chat", &[("mini/gpt", Some("gpt")), ("full/gpt", Some("gpt")), ("own", None)]),
            route("letters", &[("mini/gpt", Some("gpt")), ("full/big", Some("big"))]),
        ];
        State::read(&json!({ "revision": 1, "etag": "1", "routes": routes })).unwrap()
    }

    fn find(model: &str, route: Option<&str>) -> Result<(String, String), String> {
        meant(&state(), model, route)
    }

    #[test]
    fn a_name_means_one_target_or_is_refused_with_the_choice() {
        let found = |route: &str, target: &str| Ok((route.to_owned(), target.to_owned()));
        assert_eq!(find("big", None), found("letters", "full/big"));
        assert_eq!(find("own", None), found("chat", "own"));
        assert_eq!(find("full/gpt", None), found("chat", "full/gpt"));
        assert_eq!(find("gpt", Some("letters")), found("letters", "mini/gpt"));
        assert_eq!(find("full", Some("chat")), found("chat", "full/gpt"));
        let told = |model, route| find(model, route).unwrap_err();
        assert!(told("gpt", None).contains("several routes: name one of chat, letters with --route"));
        assert!(
            told("gpt", Some("chat"))
                .contains("several targets of route chat: name one of mini/gpt, full/gpt")
        );
        assert!(told("nobody", None).contains("the targets are full/big, full/gpt, mini/gpt, own"));
        assert!(told("big", Some("nowhere")).contains("the routes are chat, letters"));
    }
}
