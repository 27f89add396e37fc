//! The expression tree. Every node knows the bytes of the query it came from.

use std::ops::Range;

use vocab::Matcher;

use crate::functions::Function;

/// Bytes of the query text.
pub type Span = Range<usize>;

/// The type of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// A text.
    String,
    /// One sample per series and step.
    Vector,
    /// A window of samples per series.
    Matrix,
}

impl ValueType {
    /// As error messages name it.
    pub fn documented(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        }
    }

    /// As the query API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::String => "string",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
        }
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A number.
    Number(NumberLiteral),
    /// A text.
    String(StringLiteral),
    /// `name{matchers}` with its modifiers.
    Vector(VectorSelector),
    /// `name{matchers}[range]` with its modifiers.
    Matrix(MatrixSelector),
    /// `expr[range:step]` with its modifiers.
    Subquery(Subquery),
    /// `function(args…)`.
    Call(Call),
    /// `sum by (…) (expr)`.
    Aggregate(Aggregate),
    /// `left op right`.
    Binary(Binary),
    /// `-expr`, `+expr`.
    Unary(Unary),
    /// `(expr)`.
    Paren(Paren),
}

/// A number.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberLiteral {
    /// Its value.
    pub value: f64,
    /// Whether it was written as a duration (`5m`, which is 300).
    pub duration: bool,
    /// Where it stands.
    pub span: Span,
}

/// A text.
#[derive(Debug, Clone, PartialEq)]
pub struct StringLiteral {
    /// The text without quotes and escapes.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// What `@` refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A time in milliseconds since the epoch.
    Time(i64),
    /// `start()`: the first step of the query.
    Start,
    /// `end()`: the last step of the query.
    End,
}

/// A duration that may have to be computed.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationValue {
    /// Known already, in milliseconds.
    Fixed(i64),
    /// Computed from the query's step and range.
    Computed(DurationExpr),
}

impl DurationValue {
    /// No duration at all.
    pub const ZERO: Self = Self::Fixed(0);

    /// Whether it is the fixed duration 0.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

/// An arithmetic expression over durations, in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    /// What kind.
    pub kind: DurationKind,
    /// Where it stands.
    pub span: Span,
}

/// Kinds of duration expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// Seconds, and whether they were written with units.
    Literal(f64, bool),
    /// `step()`.
    Step,
    /// `range()`: the distance between the query's first and last step.
    Range,
    /// `min_of(a, b)`.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `-a`.
    Negate(Box<DurationExpr>),
    /// `(a)`.
    Paren(Box<DurationExpr>),
    /// `a op b`; the operator's own span is kept for errors.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>, Span),
}

/// How samples at the borders of a range are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RangeEdge {
    /// Only samples inside the range count.
    #[default]
    Plain,
    /// The last sample before the range stands at its left border.
    Anchored,
    /// Values at both borders are interpolated.
    Smoothed,
}

/// `name{matchers}` with its modifiers.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces, or a lone quoted name within them.
    pub name: Option<String>,
    /// All matchers in the order written; the name's is the last.
    pub matchers: Vec<Matcher>,
    /// `offset`.
    pub offset: DurationValue,
    /// `@`.
    pub at: Option<At>,
    /// `anchored`, `smoothed`.
    pub edge: RangeEdge,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// A range selector.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixSelector {
    /// What is selected; its modifiers are those of the range selector.
    pub selector: VectorSelector,
    /// The window.
    pub range: DurationValue,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// A subquery.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated at every inner step.
    pub expr: Box<Expr>,
    /// The window.
    pub range: DurationValue,
    /// The inner step; zero for the default one.
    pub step: DurationValue,
    /// `offset`.
    pub offset: DurationValue,
    /// `@`.
    pub at: Option<At>,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// A function call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// Aggregation operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are PromQL's own words")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    /// The operator's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Reads the word in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether the operator takes a parameter before the vector.
    pub fn has_param(self) -> bool {
        matches!(
            self,
            Self::Topk | Self::Bottomk | Self::CountValues | Self::Quantile | Self::Limitk | Self::LimitRatio
        )
    }

    /// Whether it is behind the experimental flag.
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Box<Expr>,
    /// The parameter of `topk`, `quantile` and the like.
    pub param: Option<Box<Expr>>,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// Whether `grouping` is dropped instead of kept.
    pub without: bool,
    /// Where it stands.
    pub span: Span,
}

/// Binary operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the variants are PromQL's own operators")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eql,
    Neq,
    Lss,
    Lte,
    Gtr,
    Gte,
    And,
    Or,
    Unless,
    TrimUpper,
    TrimLower,
}

impl BinaryOp {
    /// As PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eql => "==",
            Self::Neq => "!=",
            Self::Lss => "<",
            Self::Lte => "<=",
            Self::Gtr => ">",
            Self::Gte => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eql | Self::Neq | Self::Lss | Self::Lte | Self::Gtr | Self::Gte)
    }

    /// Whether it is `and`, `or`, `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Eql
            | Self::Neq
            | Self::Lss
            | Self::Lte
            | Self::Gtr
            | Self::Gte
            | Self::TrimUpper
            | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }
}

/// How many series of each side may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// One of each side.
    OneToOne,
    /// `group_left`: many of the left.
    ManyToOne,
    /// `group_right`: many of the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How the series of both sides are matched.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// How many may meet.
    pub card: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` came with `on`.
    pub on: bool,
    /// Labels that `group_left`/`group_right` take over from the "one" side.
    pub include: Vec<String>,
    /// What stands for a missing left series.
    pub fill_left: Option<f64>,
    /// What stands for a missing right series.
    pub fill_right: Option<f64>,
}

/// A binary operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The left side.
    pub lhs: Box<Expr>,
    /// The right side.
    pub rhs: Box<Expr>,
    /// `bool`.
    pub return_bool: bool,
    /// Present when both sides are vectors.
    pub matching: Option<Matching>,
    /// Where it stands.
    pub span: Span,
}

/// A sign before an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Unary {
    /// Whether the sign is `-`.
    pub negate: bool,
    /// What it stands before.
    pub expr: Box<Expr>,
    /// Where it stands.
    pub span: Span,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Paren {
    /// What they hold.
    pub expr: Box<Expr>,
    /// Where they stand.
    pub span: Span,
}

impl Expr {
    /// Where the expression stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Number(e) => e.span.clone(),
            Self::String(e) => e.span.clone(),
            Self::Vector(e) => e.span.clone(),
            Self::Matrix(e) => e.span.clone(),
            Self::Subquery(e) => e.span.clone(),
            Self::Call(e) => e.span.clone(),
            Self::Aggregate(e) => e.span.clone(),
            Self::Binary(e) => e.span.clone(),
            Self::Unary(e) => e.span.clone(),
            Self::Paren(e) => e.span.clone(),
        }
    }

    /// The type of its value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(e) => e.function.returns,
            Self::Unary(e) => e.expr.value_type(),
            Self::Paren(e) => e.expr.value_type(),
            Self::Binary(e) => {
                if e.lhs.value_type() == ValueType::Scalar && e.rhs.value_type() == ValueType::Scalar {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// The expression without the parentheses around it.
    pub fn unwrap_parens(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }

    /// The expressions directly inside, in evaluation order.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => Vec::new(),
            Self::Subquery(e) => vec![&e.expr],
            Self::Call(e) => e.args.iter().collect(),
            Self::Aggregate(e) => e.param.iter().map(AsRef::as_ref).chain([e.expr.as_ref()]).collect(),
            Self::Binary(e) => vec![&e.lhs, &e.rhs],
            Self::Unary(e) => vec![&e.expr],
            Self::Paren(e) => vec![&e.expr],
        }
    }
}
