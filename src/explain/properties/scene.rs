//! A configuration and a request drawn at random, and what the documentation says of them.

mod written;

pub const NAMES: [&str; 6] = ["ada", "ada/turbo", "bob", "bobby", "cyd", "dee"];
pub const MODELS: [&str; 2] = ["acme/one", "acme/two"];
const REGIONS: [&str; 3] = ["cn", "us", "sg"];
const QUANTIZATIONS: [&str; 3] = ["fp8", "int4", "unknown"];

/// In tenths of a dollar, or as much in yuan, in and out.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    tenths: (u32, u32),
    in_yuan: bool,
}

impl Price {
    /// A yuan is 0.137 dollars, a dollar is written as 7.3 yuan: that is a little more.
    pub fn micros(self) -> (u64, u64) {
        let tenth = if self.in_yuan { 100_010 } else { 100_000 };
        let (input, output) = self.tenths;
        (u64::from(input) * tenth, u64::from(output) * tenth)
    }
}

/// How one provider serves one model.
#[derive(Debug, Default)]
pub struct Offer {
    pub price: Option<Price>,
    context: Option<u64>,
    /// Whether it takes tools. None: nobody knows.
    tools: Option<bool>,
    quantization: Option<&'static str>,
    gpqa: Option<usize>,
}

#[derive(Debug)]
pub struct House {
    region: Option<&'static str>,
    collects: Option<bool>,
    zdr: Option<bool>,
    /// Else it serves embeddings alone.
    pub chats: bool,
    offers: [Option<Offer>; 2],
}

/// Of a route or a key.
#[derive(Debug, Default)]
pub struct Rules {
    cap: (Option<u32>, Option<u32>),
    regions: Vec<&'static str>,
    deny_collection: bool,
    zdr: bool,
    quantizations: Vec<&'static str>,
    only: Vec<usize>,
    ignore: Vec<usize>,
    pub prefer: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub provider: usize,
    pub tier: u32,
    pub weight: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Balance {
    Weighted,
    Sticky,
    Cheapest,
    /// By the price of the answer.
    Ranked,
}

#[derive(Debug)]
pub struct Way {
    pub models: Vec<usize>,
    pub targets: Vec<Target>,
    pub balance: Balance,
    pub rules: Rules,
    least_gpqa: Option<usize>,
    /// The second model follows the first.
    falls_back: bool,
}

/// What the request says.
#[derive(Debug)]
pub struct Wish {
    model: usize,
    floor: bool,
    models: Vec<usize>,
    pub order: Vec<&'static str>,
    only: Vec<&'static str>,
    ignore: Vec<&'static str>,
    pub no_fallbacks: bool,
    require_parameters: bool,
    deny_collection: bool,
    zdr: bool,
    quantizations: Vec<&'static str>,
    /// By price; whether each model for itself.
    written_sort: Option<bool>,
    /// The same, where nothing is written by the suffix.
    pub sort: Option<bool>,
    cap: (Option<u32>, Option<u32>),
    pub tools: bool,
    pub prompt: u64,
}

#[derive(Debug)]
pub struct Scene {
    pub houses: Vec<House>,
    ways: Vec<Way>,
    pub key: Rules,
    pub wish: Wish,
}

/// A model, and the route that serves it.
pub struct Leg<'s> {
    pub model: usize,
    pub way: &'s Way,
}

struct Draw<'d>(std::slice::Iter<'d, u16>);

impl Draw<'_> {
    /// Evenly, and 0 once nothing is left.
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % bound
    }

    /// Once in so many times.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn maybe<T>(&mut self, times: usize, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_in(times).then(|| make(self))
    }

    fn some<T: Copy>(&mut self, times: usize, of: &[T]) -> Vec<T> {
        let mut taken: Vec<T> = Vec::new();
        if self.once_in(times) {
            let from = self.below(of.len());
            let count = 1 + self.below(of.len());
            taken.extend(of.iter().cycle().skip(from).take(count));
        }
        taken
    }

    fn cap(&mut self, times: usize) -> (Option<u32>, Option<u32>) {
        let mut one = || self.maybe(times, |draw| draw.below(10) as u32);
        (one(), one())
    }

    fn offer(&mut self) -> Offer {
        Offer {
            price: (!self.once_in(5)).then(|| Price {
                tenths: (self.below(9) as u32, self.below(9) as u32),
                in_yuan: self.once_in(3),
            }),
            context: self.maybe(3, |draw| [500, 1000, 4000][draw.below(3)]),
            tools: self.maybe(2, |draw| draw.once_in(2)),
            quantization: self.maybe(2, |draw| QUANTIZATIONS[draw.below(2)]),
            gpqa: self.maybe(2, |draw| 40 + draw.below(4) * 10),
        }
    }

    fn rules(&mut self, all: &[usize]) -> Rules {
        Rules {
            cap: self.cap(6),
            regions: self.some(6, &REGIONS),
            deny_collection: self.once_in(8),
            zdr: self.once_in(10),
            quantizations: self.some(10, &QUANTIZATIONS),
            only: self.some(8, all),
            ignore: self.some(6, all),
            prefer: self.some(4, all),
        }
    }

    fn way(&mut self, models: Vec<usize>, all: &[usize], houses: &[House]) -> Way {
        let from = self.below(all.len());
        let mut targets = Vec::new();
        for provider in all.iter().cycle().skip(from).take(all.len()) {
            let serves = |model: &usize| houses[*provider].offers[*model].is_some();
            let target = Target {
                provider: *provider,
                tier: 1 + self.below(3) as u32,
                // The first serves everything, so that no model is without a target.
                weight: [1, 2, 5, 0][self.below(if *provider == 0 { 3 } else { 4 })],
            };
            if models.iter().any(serves) && (*provider == 0 || !self.once_in(5)) {
                targets.push(target);
            }
        }
        let live: Vec<u32> = targets
            .iter()
            .filter(|one| one.weight > 0)
            .map(|one| one.tier)
            .collect();
        for target in &mut targets {
            if !live.contains(&target.tier) {
                target.weight = 1;
            }
        }
        Way {
            falls_back: models.len() == 2 && self.once_in(2),
            models,
            targets,
            balance: [
                Balance::Weighted,
                Balance::Cheapest,
                Balance::Ranked,
                Balance::Sticky,
            ][self.below(4)],
            // Names are for keys and callers: a route has its targets.
            rules: Rules {
                only: Vec::new(),
                ignore: Vec::new(),
                ..self.rules(all)
            },
            least_gpqa: self.maybe(8, |draw| 40 + draw.below(4) * 10),
        }
    }

    fn wish(&mut self) -> Wish {
        let slugs = ["ada", "bob", "ada/turbo", "dee", "cyd", "nobody"];
        let floor = self.once_in(8);
        let sort = self.maybe(5, |draw| !draw.once_in(2));
        Wish {
            model: self.below(2),
            floor,
            models: self.some(4, &[0, 1]),
            order: self.some(4, &slugs),
            only: self.some(8, &slugs),
            ignore: self.some(6, &slugs),
            no_fallbacks: self.once_in(5),
            require_parameters: self.once_in(6),
            deny_collection: self.once_in(10),
            zdr: self.once_in(12),
            quantizations: self.some(10, &QUANTIZATIONS),
            written_sort: sort,
            sort: sort.or(floor.then_some(true)),
            cap: self.cap(8),
            tools: self.once_in(4),
            prompt: [0, 400, 900, 1500, 9000][self.below(5)],
        }
    }
}

impl Scene {
    pub fn drawn(from: &[u16]) -> Scene {
        let mut draw = Draw(from.iter());
        let houses: Vec<House> = (0..NAMES.len())
            .map(|at| House {
                region: draw.maybe(2, |draw| REGIONS[draw.below(3)]),
                collects: draw.maybe(2, |draw| draw.once_in(2)),
                zdr: draw.maybe(3, |draw| !draw.once_in(3)),
                chats: at == 0 || !draw.once_in(8),
                offers: [(); 2].map(|()| (at == 0 || !draw.once_in(4)).then(|| draw.offer())),
            })
            .collect();
        let all: Vec<usize> = (0..houses.len())
            .filter(|at| houses[*at].offers.iter().any(Option::is_some))
            .collect();
        let ways = if draw.once_in(2) {
            vec![draw.way(vec![0, 1], &all, &houses)]
        } else {
            let first = draw.way(vec![0], &all, &houses);
            vec![first, draw.way(vec![1], &all, &houses)]
        };
        Scene {
            key: draw.rules(&all),
            wish: draw.wish(),
            houses,
            ways,
        }
    }

    pub fn offer(&self, provider: usize, model: usize) -> Option<&Offer> {
        self.houses[provider].offers[model].as_ref()
    }

    /// The asked model, then the caller's others, else the route's.
    pub fn legs(&self) -> Vec<Leg<'_>> {
        let leg = |model: usize| {
            let mut ways = self.ways.iter();
            let way = ways.find(|way| way.models.contains(&model)).unwrap();
            Leg { model, way }
        };
        let first = leg(self.wish.model);
        let mut others: Vec<usize> = Vec::new();
        if !self.wish.models.is_empty() {
            others.clone_from(&self.wish.models);
        } else if first.way.falls_back {
            others.push(1);
        }
        let mut legs = vec![first];
        for other in others {
            if !legs.iter().any(|leg| leg.model == other) {
                legs.push(leg(other));
            }
        }
        legs
    }

    /// Whether it breaks no rule of anybody.
    pub fn may(&self, leg: &Leg<'_>, provider: usize, offer: &Offer, prompt: u64) -> bool {
        let (house, wish) = (&self.houses[provider], &self.wish);
        let quantization = offer.quantization.unwrap_or("unknown");
        let affordable = |(input, output): (Option<u32>, Option<u32>)| {
            let within = |cap: Option<u32>, price: fn(Price) -> u64| {
                let below = |cap: u32| Some(price(offer.price?) <= u64::from(cap) * 100_000);
                cap.is_none_or(|cap| below(cap) == Some(true))
            };
            within(input, |price| price.micros().0) && within(output, |price| price.micros().1)
        };
        let discreet = |deny: bool, zdr: bool| {
            (!deny || house.collects == Some(false)) && (!zdr || house.zdr == Some(true))
        };
        let stored = |allowed: &[&str]| allowed.is_empty() || allowed.contains(&quantization);
        let keeps = |rules: &Rules| {
            let at_home = house.region.is_some_and(|one| rules.regions.contains(&one));
            affordable(rules.cap)
                && (rules.regions.is_empty() || at_home)
                && discreet(rules.deny_collection, rules.zdr)
                && stored(&rules.quantizations)
                && (rules.only.is_empty() || rules.only.contains(&provider))
                && !rules.ignore.contains(&provider)
        };
        let name = NAMES[provider];
        let named = |slugs: &[&str]| {
            let is_it = |slug: &&str| name == *slug || name.starts_with(&format!("{slug}/"));
            slugs.iter().any(is_it)
        };
        let able = match offer.tools {
            _ if !wish.tools => true,
            None => !wish.require_parameters,
            Some(takes) => takes,
        };
        let smart = |least: usize| offer.gpqa.is_some_and(|score| score >= least);
        keeps(&leg.way.rules)
            && keeps(&self.key)
            && affordable(wish.cap)
            && discreet(wish.deny_collection, wish.zdr)
            && stored(&wish.quantizations)
            && (wish.only.is_empty() || named(&wish.only))
            && !named(&wish.ignore)
            && !(wish.no_fallbacks && !wish.order.is_empty() && !named(&wish.order))
            && able
            && offer.context.is_none_or(|context| prompt <= context)
            && leg.way.least_gpqa.is_none_or(smart)
    }
}
