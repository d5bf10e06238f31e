//! The evaluator against an oracle that shares nothing with it: a plain walk over an expression that was
//! never text, with values as strings and big numbers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Term {
    Property(&'static str),
    Integer(i64),
    Decimal(&'static str),
    Text(&'static str),
    Truth(bool),
    Inner(Box<Tree>),
}

#[derive(Debug, Clone)]
enum Tree {
    Bare(&'static str),
    Null,
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    IsNull(bool, Term),
    Equal(bool, Term, Term),
    Ordered(&'static str, Term, Term),
    Between(bool, Term, Term, Term),
    In(bool, &'static str, Vec<&'static str>),
    Search(bool, Term, &'static str, &'static str),
}

type Row = BTreeMap<&'static str, String>;

#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Truth(bool),
    Integer(i64),
    Decimal(f64),
    Text(String),
}

struct Fails;

fn not(is: bool) -> &'static str {
    if is { " nOT " } else { " " }
}

impl Term {
    fn write(&self) -> String {
        match self {
            Self::Property(name) => (*name).to_owned(),
            Self::Integer(integer) => integer.to_string(),
            Self::Decimal(decimal) => (*decimal).to_owned(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Truth(truth) => truth.to_string(),
            Self::Inner(tree) => format!("( {} )", tree.write()),
        }
    }

    fn plain(&self, row: &Row) -> Result<Option<Plain>, Fails> {
        Ok(match self {
            Self::Property(name) => row.get(name).cloned().map(Plain::Text),
            Self::Integer(integer) => Some(Plain::Integer(*integer)),
            Self::Decimal(decimal) => Some(Plain::Decimal(decimal.parse().unwrap())),
            Self::Text(text) => Some(Plain::Text((*text).to_owned())),
            Self::Truth(truth) => Some(Plain::Truth(*truth)),
            Self::Inner(tree) => tree.holds(row)?.map(Plain::Truth),
        })
    }
}

/// The number in a text, as a neighbour of that kind would have it.
fn beside(text: &str, neighbour: &Plain) -> Result<f64, Fails> {
    let is_long = |integer: &i64| i32::try_from(*integer).is_err();
    match neighbour {
        Plain::Integer(integer) if is_long(integer) => {
            text.parse::<i64>().map(|is| is as f64).map_err(|_| Fails)
        }
        Plain::Integer(_) => text.parse::<i32>().map(f64::from).map_err(|_| Fails),
        _ => text.trim().parse::<f64>().map_err(|_| Fails),
    }
}

/// Left less right, as far as its sign goes; the numbers that are tried are exact as doubles.
fn difference(left: &Plain, right: &Plain) -> Result<f64, Fails> {
    let number = |plain: &Plain, other: &Plain| match plain {
        Plain::Integer(integer) => Ok(*integer as f64),
        Plain::Decimal(decimal) => Ok(*decimal),
        Plain::Text(text) => beside(text, other),
        Plain::Truth(_) => Err(Fails),
    };
    Ok(number(left, right)? - number(right, left)?)
}

fn same(left: Option<Plain>, right: Option<Plain>) -> Result<Option<bool>, Fails> {
    Ok(match (left, right) {
        (None, right) => right.is_none().then_some(true),
        (Some(_), None) => Some(false),
        (Some(Plain::Text(left)), Some(Plain::Text(right))) => Some(left == right),
        (Some(Plain::Text(left)), Some(Plain::Truth(right))) => {
            Some((left.to_lowercase() == "true") == right)
        }
        (Some(Plain::Truth(_)), Some(Plain::Text(_))) => return Err(Fails),
        (Some(Plain::Truth(left)), Some(Plain::Truth(right))) => Some(left == right),
        (Some(Plain::Truth(_)), _) | (_, Some(Plain::Truth(_))) => Some(false),
        (Some(left), Some(right)) => Some(difference(&left, &right)? == 0.0),
    })
}

fn before(sign: &str, left: &Term, right: &Term, row: &Row) -> Result<Option<bool>, Fails> {
    let Some(left) = left.plain(row)? else { return Ok(None) };
    let Some(right) = right.plain(row)? else { return Ok(None) };
    let difference = difference(&left, &right)?;
    Ok(Some(match sign {
        "<" => difference < 0.0,
        "<=" => difference <= 0.0,
        ">" => difference > 0.0,
        _ => difference >= 0.0,
    }))
}

/// AND by its truth table, after the left side alone was asked.
fn both(
    left: Option<bool>,
    right: impl FnOnce() -> Result<Option<bool>, Fails>,
) -> Result<Option<bool>, Fails> {
    if left == Some(false) {
        return Ok(left);
    }
    Ok(match (left, right()?) {
        (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    })
}

fn flip(answer: Option<bool>) -> Option<bool> {
    answer.map(|is| !is)
}

impl Tree {
    fn write(&self) -> String {
        let side = |tree: &Tree| match tree {
            Tree::And(..) | Tree::Or(..) => format!("({})", tree.write()),
            _ => tree.write(),
        };
        match self {
            Self::Bare(name) => (*name).to_owned(),
            Self::Null => "NULL".to_owned(),
            Self::Not(tree) => format!("NOT({})", tree.write()),
            // AND binds closer than OR, and both go from left to right.
            Self::And(left, right) => match **left {
                Self::And(..) => format!("{} AND {}", left.write(), side(right)),
                _ => format!("{} and\t{}", side(left), side(right)),
            },
            Self::Or(left, right) => match **right {
                Self::And(..) => format!("{} or {}", left.write(), right.write()),
                _ => format!("{}\nOR {}", left.write(), side(right)),
            },
            Self::IsNull(negated, term) => format!("{} is{}null", term.write(), not(*negated)),
            Self::Equal(negated, left, right) => {
                format!("{}{}{}", left.write(), if *negated { "<>" } else { "=" }, right.write())
            }
            Self::Ordered(sign, left, right) => format!("{}{sign}{}", left.write(), right.write()),
            Self::Between(negated, value, low, high) => {
                format!("{}{}Between {} And {}", value.write(), not(*negated), low.write(), high.write())
            }
            Self::In(negated, name, texts) => {
                let texts: Vec<String> = texts.iter().map(|text| Term::Text(text).write()).collect();
                format!("{name}{}in({})", not(*negated), texts.join(","))
            }
            Self::Search(negated, term, test, text) => {
                format!("{}{}{test} {}", term.write(), not(*negated), Term::Text(text).write())
            }
        }
    }

    fn holds(&self, row: &Row) -> Result<Option<bool>, Fails> {
        Ok(match self {
            Self::Bare(name) => row.get(name).map(|_| false),
            Self::Null => None,
            Self::Not(tree) => flip(tree.holds(row)?),
            Self::And(left, right) => both(left.holds(row)?, || right.holds(row))?,
            // De Morgan.
            Self::Or(left, right) => flip(both(flip(left.holds(row)?), || Ok(flip(right.holds(row)?)))?),
            Self::IsNull(negated, term) => Some(term.plain(row)?.is_none() != *negated),
            Self::Equal(negated, left, right) => {
                same(left.plain(row)?, right.plain(row)?)?.map(|is| is != *negated)
            }
            Self::Ordered(sign, left, right) => before(sign, left, right, row)?,
            Self::Between(false, value, low, high) => {
                both(before(">=", value, low, row)?, || before("<=", value, high, row))?
            }
            Self::Between(true, value, low, high) => {
                flip(both(flip(before("<", value, low, row)?), || Ok(flip(before(">", value, high, row)?)))?)
            }
            Self::In(negated, name, texts) => {
                row.get(name).map(|value| texts.contains(&value.as_str()) != *negated)
            }
            Self::Search(negated, term, test, text) => match term.plain(row) {
                _ if text.is_empty() => Some(false),
                Err(fails) => return Err(fails),
                Ok(Some(Plain::Text(value))) => Some(
                    *negated
                        != match *test {
                            "contains" => value.contains(text),
                            "startswith" => value.starts_with(text),
                            _ => value.ends_with(text),
                        },
                ),
                Ok(_) => Some(false),
            },
        })
    }
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "$c", "TAGS"])
}

fn value() -> impl Strategy<Value = &'static str> {
    let values =
        ["1", "2", "-3", "+5", "1.5", " 2 ", "true", "False", "x", "it's", "größe", "3000000000", "1e2"];
    prop::sample::select(values.to_vec())
}

fn text() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => value(), 1 => Just(""), 1 => Just("ö"), 1 => Just("1")]
}

fn ordered_term() -> impl Strategy<Value = Term> {
    prop_oneof![
        3 => name().prop_map(Term::Property),
        1 => prop::sample::select(vec![1, 2, 5, 100, 3_000_000_000]).prop_map(Term::Integer),
        1 => prop::sample::select(vec!["1.5", ".5", "2.", "1e2"]).prop_map(Term::Decimal),
    ]
}

fn term(inner: impl Strategy<Value = Tree> + 'static) -> impl Strategy<Value = Term> {
    prop_oneof![
        6 => ordered_term(),
        2 => text().prop_map(Term::Text),
        1 => any::<bool>().prop_map(Term::Truth),
        1 => inner.prop_map(|tree| match tree {
            // In brackets these are still a name and the constant, which stand under other rules.
            Tree::Bare(name) => Term::Property(name),
            Tree::Null => Term::Truth(true),
            tree => Term::Inner(Box::new(tree)),
        }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![1 => Just(Tree::Null), 3 => name().prop_map(Tree::Bare)];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let signs = prop::sample::select(vec!["<", "<=", ">", ">="]);
        let tests = prop::sample::select(vec!["contains", "startswith", "endswith"]);
        let (not, pair) = (any::<bool>, (inner.clone(), inner.clone()));
        let pair = pair.prop_map(|(left, right)| (Box::new(left), Box::new(right)));
        prop_oneof![
            2 => pair.clone().prop_map(|(left, right)| Tree::And(left, right)),
            2 => pair.prop_map(|(left, right)| Tree::Or(left, right)),
            1 => inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            1 => (not(), term(inner.clone())).prop_map(|(not, term)| Tree::IsNull(not, term)),
            4 => (not(), term(inner.clone()), term(inner.clone()))
                .prop_filter("refused", |(_, left, right)| !matches!(
                    (left, right),
                    (Term::Truth(_), Term::Integer(_) | Term::Decimal(_) | Term::Text(_))
                ))
                .prop_map(|(not, left, right)| Tree::Equal(not, left, right)),
            3 => (signs, ordered_term(), ordered_term())
                .prop_map(|(sign, left, right)| Tree::Ordered(sign, left, right)),
            2 => (not(), ordered_term(), name(), ordered_term())
                .prop_map(|(not, value, low, high)| Tree::Between(not, value, Term::Property(low), high)),
            2 => (not(), name(), prop::collection::vec(text(), 1..7))
                .prop_map(|(not, name, texts)| Tree::In(not, name, texts)),
            2 => (not(), term(inner), tests, text())
                .prop_map(|(not, term, test, text)| Tree::Search(not, term, test, text)),
        ]
    })
}

fn row() -> impl Strategy<Value = Row> {
    prop::collection::btree_map(name(), value().prop_map(str::to_owned), 0..4)
}

fn property_text(row: &Row) -> Vec<u8> {
    row.iter().flat_map(|(name, value)| format!("{name}\x01{value}\x02").into_bytes()).collect()
}

#[test]
fn the_evaluator_agrees_with_the_oracle() {
    // Making such trees at random takes more stack in a debug build than a test's thread has.
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(|| {
        proptest!(ProptestConfig::with_cases(4096), |(tree in tree(), row in row())| {
            let text = tree.write();
            let selector =
                Selector::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            let ours = selector.evaluate(&property_text(&row)).ok();
            prop_assert_eq!(ours, tree.holds(&row).ok(), "{}", text);
        });
    });
    thread.unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn words_in_any_order_are_read_or_refused_in_place(
        words in prop::collection::vec(prop::sample::select(vec![
            "=", "<>", "<", ">=", "(", ")", ",", "+", "-", "NOT", "AND", "OR", "BETWEEN", "IN", "IS", "NULL",
            "CONTAINS", "ENDSWITH", "a", "größe", "1", "0.5", "9e9", "'x'", "''", "'", "TRUE", "/*", "*/", "--", "\n",
        ]), 0..12),
        properties in any::<Vec<u8>>(),
    ) {
        let text = words.join(" ");
        match Selector::parse(&text) {
            Ok(selector) => drop(selector.evaluate(&properties)),
            Err(error) => prop_assert!((1..=text.chars().count() + 1).contains(&error.at)),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = Selector::parse(&text);
    }
}

fn problem(text: &str) -> (usize, Problem) {
    let error = Selector::parse(text).unwrap_err();
    (error.at, error.problem)
}

#[test]
fn an_error_says_where_it_is() {
    assert_eq!(problem("größe = 1 AND b >"), (6 - 3, Problem::Character('ö')));
    assert_eq!(problem("a > 1 AND"), (10, Problem::Expected("a name, a number, a text or a bracket")));
    assert_eq!(problem("a > 'x'"), (5, Problem::NotOrdered));
    assert_eq!(problem("a = NULL"), (5, Problem::EqualsNull));
    assert_eq!(problem("NOT a IN ('x')"), (1, Problem::NotProperty));
    assert_eq!(problem("a BETWEEN 2 AND 1"), (11, Problem::BetweenNothing));
    assert_eq!(problem("b = 1 OR 'it''s"), (10, Problem::OpenText));
    assert_eq!(problem("a = 99999999999999999999"), (5, Problem::NumberRange));
    assert_eq!(problem("a = 1 AND 'x'"), (11, Problem::NotCondition));
    let text = Selector::parse("a ! 1").unwrap_err().to_string();
    assert_eq!(
        text,
        "the SQL92 expression is wrong at character 3: '!' begins no name, number, text or sign"
    );
}

#[test]
fn depth_and_length_have_limits_that_no_stack_notices() {
    let nested = |depth: usize| format!("{}a = 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Selector::parse(&nested(MAX_NESTING)).is_ok());
    assert_eq!(problem(&nested(MAX_NESTING + 1)).1, Problem::TooDeep);
    for word in ["(", "NOT ", "- ", "+", "NOT (", "a = (", "a = 1 OR b = 2 AND - ("] {
        assert_eq!(problem(&word.repeat(500)).1, Problem::TooDeep, "{word}");
    }
    assert_eq!(problem(&format!("a{}", " = 1".repeat(5_000))).1, Problem::TooDeep);
    assert_eq!(problem(&format!("a = '{}'", "x".repeat(MAX_LENGTH))), (1, Problem::TooLong));
    let wide = Selector::parse(&["a = 'x'"; 5_000].join(" OR ")).unwrap();
    assert_eq!(wide.evaluate(b"a\x01x\x02"), Ok(Some(true)));
    assert_eq!(wide.lookups(), 5_000);
}

#[test]
fn the_deepest_tree_there_may_be_is_evaluated() {
    let level = "b = 1 OR b = 2 AND NOT (";
    let deep = MAX_NESTING / 2;
    let text = format!("{}a = 1{}{}", level.repeat(deep), " = TRUE".repeat(MAX_CHAINED), ")".repeat(deep));
    assert!(Selector::parse(&text).unwrap().evaluate(b"a\x011\x02").is_ok());
}
