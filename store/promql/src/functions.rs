//! The functions of the language: names, signatures, documentation.

pub(crate) mod range;
pub(crate) mod rate;
pub(crate) mod start;

use crate::ast::ValueType;
use crate::ast::ValueType::{Matrix, Scalar, String as Text, Vector};

/// A function's signature and what it does.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Types of its arguments; the last one repeats for variadic functions.
    pub args: &'static [ValueType],
    /// 0: exactly `args`; positive: the last one may be left out, and may come so many times in all;
    /// negative: the last one may come any number of times, also none.
    pub variadic: i32,
    /// Type of its result.
    pub returns: ValueType,
    /// Whether it is behind the experimental flag.
    pub experimental: bool,
    /// One sentence.
    pub doc: &'static str,
}

impl Function {
    /// Its signature as a user reads it: `clamp(v instant vector, min scalar …)` without the names of arguments.
    pub fn signature(&self) -> std::string::String {
        let mut args: Vec<&str> = self.args.iter().map(|a| a.documented()).collect();
        if self.variadic != 0 {
            args.push("…");
        }
        format!("{}({}) {}", self.name, args.join(", "), self.returns.documented())
    }

    /// The fewest arguments it takes.
    pub fn min_args(&self) -> usize {
        if self.variadic == 0 { self.args.len() } else { self.args.len().saturating_sub(1) }
    }

    /// The most arguments it takes; `None` for any number.
    pub fn max_args(&self) -> Option<usize> {
        match self.variadic {
            0 => Some(self.args.len()),
            n => usize::try_from(n).ok().map(|extra| self.args.len() - 1 + extra),
        }
    }
}

/// All functions in order of name.
pub fn catalogue() -> &'static [Function] {
    FUNCTIONS
}

/// The function of that name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &FUNCTIONS[i])
}

const fn stable(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    returns: ValueType,
    doc: &'static str,
) -> Function {
    Function { name, args, variadic, returns, experimental: false, doc }
}

const fn experimental(
    name: &'static str,
    args: &'static [ValueType],
    variadic: i32,
    returns: ValueType,
    doc: &'static str,
) -> Function {
    Function { name, args, variadic, returns, experimental: true, doc }
}

static FUNCTIONS: &[Function] = &[
    stable("abs", &[Vector], 0, Vector, "Absolute values."),
    stable(
        "absent",
        &[Vector],
        0,
        Vector,
        "1 with the selector's equality labels when the vector is empty, else nothing.",
    ),
    stable(
        "absent_over_time",
        &[Matrix],
        0,
        Vector,
        "1 with the selector's equality labels when no series has a sample in the range, else nothing.",
    ),
    stable("acos", &[Vector], 0, Vector, "Arc cosine in radians."),
    stable("acosh", &[Vector], 0, Vector, "Inverse hyperbolic cosine."),
    stable(
        "anomaly_score",
        &[Matrix, Scalar],
        1,
        Vector,
        "How unusual the newest sample of the range is: 0 is normal, 3.5 and more unusual, 100 the most; the season in seconds \
         is detected when it is not given.",
    ),
    stable("asin", &[Vector], 0, Vector, "Arc sine in radians."),
    stable("asinh", &[Vector], 0, Vector, "Inverse hyperbolic sine."),
    stable("atan", &[Vector], 0, Vector, "Arc tangent in radians."),
    stable("atanh", &[Vector], 0, Vector, "Inverse hyperbolic tangent."),
    stable("avg_over_time", &[Matrix], 0, Vector, "Mean of the samples in the range."),
    stable("ceil", &[Vector], 0, Vector, "Values rounded up to integers."),
    stable("changes", &[Matrix], 0, Vector, "How often the value changed within the range."),
    stable("clamp", &[Vector, Scalar, Scalar], 0, Vector, "Values held between a minimum and a maximum."),
    stable("clamp_max", &[Vector, Scalar], 0, Vector, "Values held at or below a maximum."),
    stable("clamp_min", &[Vector, Scalar], 0, Vector, "Values held at or above a minimum."),
    stable("cos", &[Vector], 0, Vector, "Cosine of radians."),
    stable("cosh", &[Vector], 0, Vector, "Hyperbolic cosine."),
    stable("count_over_time", &[Matrix], 0, Vector, "Number of samples in the range."),
    stable(
        "day_of_month",
        &[Vector],
        1,
        Vector,
        "Day of the month in UTC, 1 to 31; of the evaluation time without argument.",
    ),
    stable(
        "day_of_week",
        &[Vector],
        1,
        Vector,
        "Day of the week in UTC, 0 is Sunday; of the evaluation time without argument.",
    ),
    stable(
        "day_of_year",
        &[Vector],
        1,
        Vector,
        "Day of the year in UTC, 1 to 366; of the evaluation time without argument.",
    ),
    stable(
        "days_in_month",
        &[Vector],
        1,
        Vector,
        "Number of days in the month, 28 to 31; of the evaluation time without argument.",
    ),
    stable("deg", &[Vector], 0, Vector, "Radians to degrees."),
    stable(
        "delta",
        &[Matrix],
        0,
        Vector,
        "Difference between first and last value of a gauge, extrapolated to the range.",
    ),
    stable("deriv", &[Matrix], 0, Vector, "Per-second slope of a gauge by linear regression."),
    experimental(
        "double_exponential_smoothing",
        &[Matrix, Scalar, Scalar],
        0,
        Vector,
        "Smoothed value of a gauge, by smoothing factor and trend factor.",
    ),
    experimental("end", &[], 0, Scalar, "The last evaluation time of the query, in seconds."),
    stable("exp", &[Vector], 0, Vector, "Exponential function."),
    experimental("first_over_time", &[Matrix], 0, Vector, "The oldest sample in the range."),
    stable("floor", &[Vector], 0, Vector, "Values rounded down to integers."),
    stable(
        "forecast",
        &[Matrix, Scalar, Scalar],
        1,
        Vector,
        "Value expected in so many seconds, from trend and season of the range; the season in seconds is detected when it is not \
         given.",
    ),
    stable("histogram_avg", &[Vector], 0, Vector, "Mean observation of native histograms."),
    stable("histogram_count", &[Vector], 0, Vector, "Number of observations of native histograms."),
    stable(
        "histogram_fraction",
        &[Scalar, Scalar, Vector],
        0,
        Vector,
        "Estimated fraction of observations between two values.",
    ),
    stable("histogram_quantile", &[Scalar, Vector], 0, Vector, "Estimated quantile of classic or native histograms."),
    experimental(
        "histogram_quantiles",
        &[Vector, Text, Scalar, Scalar],
        9,
        Vector,
        "Several estimated quantiles, told apart by the named label.",
    ),
    stable(
        "histogram_stddev",
        &[Vector],
        0,
        Vector,
        "Estimated standard deviation of the observations of native histograms.",
    ),
    stable("histogram_stdvar", &[Vector], 0, Vector, "Estimated variance of the observations of native histograms."),
    stable("histogram_sum", &[Vector], 0, Vector, "Sum of the observations of native histograms."),
    stable("hour", &[Vector], 1, Vector, "Hour of the day in UTC, 0 to 23; of the evaluation time without argument."),
    stable("idelta", &[Matrix], 0, Vector, "Difference between the last two samples."),
    stable("increase", &[Matrix], 0, Vector, "Increase of a counter over the range, extrapolated to it."),
    experimental("info", &[Vector, Vector], 1, Vector, "Adds the labels of matching info series."),
    stable("irate", &[Matrix], 0, Vector, "Per-second rate of a counter by its last two samples."),
    stable("label_join", &[Vector, Text, Text, Text], -1, Vector, "Sets a label to the joined values of other labels."),
    stable(
        "label_replace",
        &[Vector, Text, Text, Text, Text],
        0,
        Vector,
        "Sets a label from a regular expression matched against another.",
    ),
    stable("last_over_time", &[Matrix], 0, Vector, "The newest sample in the range."),
    stable("ln", &[Vector], 0, Vector, "Natural logarithm."),
    stable("log10", &[Vector], 0, Vector, "Decimal logarithm."),
    stable("log2", &[Vector], 0, Vector, "Binary logarithm."),
    experimental("mad_over_time", &[Matrix], 0, Vector, "Median absolute deviation of the samples in the range."),
    experimental("max_of", &[Scalar, Scalar], 0, Scalar, "The larger of two numbers."),
    stable("max_over_time", &[Matrix], 0, Vector, "Largest value in the range."),
    experimental("min_of", &[Scalar, Scalar], 0, Scalar, "The smaller of two numbers."),
    stable("min_over_time", &[Matrix], 0, Vector, "Smallest value in the range."),
    stable(
        "minute",
        &[Vector],
        1,
        Vector,
        "Minute of the hour in UTC, 0 to 59; of the evaluation time without argument.",
    ),
    stable(
        "month",
        &[Vector],
        1,
        Vector,
        "Month of the year in UTC, 1 to 12; of the evaluation time without argument.",
    ),
    stable("pi", &[], 0, Scalar, "The number pi."),
    stable(
        "predict_linear",
        &[Matrix, Scalar],
        0,
        Vector,
        "Value that a gauge will have in so many seconds, by linear regression.",
    ),
    stable("present_over_time", &[Matrix], 0, Vector, "1 for every series with a sample in the range."),
    stable("quantile_over_time", &[Scalar, Matrix], 0, Vector, "Quantile of the values in the range."),
    stable("rad", &[Vector], 0, Vector, "Degrees to radians."),
    experimental("range", &[], 0, Scalar, "Distance between first and last evaluation time of the query, in seconds."),
    stable("rate", &[Matrix], 0, Vector, "Per-second average rate of a counter over the range."),
    stable("resets", &[Matrix], 0, Vector, "Number of counter resets in the range."),
    stable("round", &[Vector, Scalar], 1, Vector, "Values rounded to the nearest integer or multiple."),
    stable("scalar", &[Vector], 0, Scalar, "The value of a vector's only element, else NaN."),
    stable("sgn", &[Vector], 0, Vector, "Sign of the values: -1, 0 or 1."),
    stable("sin", &[Vector], 0, Vector, "Sine of radians."),
    stable("sinh", &[Vector], 0, Vector, "Hyperbolic sine."),
    stable("sort", &[Vector], 0, Vector, "Ascending by value; for instant queries."),
    experimental(
        "sort_by_label",
        &[Vector, Text],
        -1,
        Vector,
        "Ascending by the natural order of labels; for instant queries.",
    ),
    experimental(
        "sort_by_label_desc",
        &[Vector, Text],
        -1,
        Vector,
        "Descending by the natural order of labels; for instant queries.",
    ),
    stable("sort_desc", &[Vector], 0, Vector, "Descending by value; for instant queries."),
    stable("sqrt", &[Vector], 0, Vector, "Square root."),
    experimental("start", &[], 0, Scalar, "The first evaluation time of the query, in seconds."),
    experimental(
        "start_timestamp",
        &[Vector],
        0,
        Vector,
        "Since when the samples of a selector count, in seconds since the epoch; 0 when that is not known.",
    ),
    stable("stddev_over_time", &[Matrix], 0, Vector, "Population standard deviation of the values in the range."),
    stable("stdvar_over_time", &[Matrix], 0, Vector, "Population variance of the values in the range."),
    experimental("step", &[], 0, Scalar, "The step of the query, in seconds."),
    stable("sum_over_time", &[Matrix], 0, Vector, "Sum of the values in the range."),
    stable("tan", &[Vector], 0, Vector, "Tangent of radians."),
    stable("tanh", &[Vector], 0, Vector, "Hyperbolic tangent."),
    stable("time", &[], 0, Scalar, "The evaluation time, in seconds since the epoch."),
    stable("timestamp", &[Vector], 0, Vector, "Times of the samples, in seconds since the epoch."),
    experimental("ts_of_first_over_time", &[Matrix], 0, Vector, "Time of the oldest sample in the range, in seconds."),
    experimental("ts_of_last_over_time", &[Matrix], 0, Vector, "Time of the newest sample in the range, in seconds."),
    experimental(
        "ts_of_max_over_time",
        &[Matrix],
        0,
        Vector,
        "Time of the newest largest value in the range, in seconds.",
    ),
    experimental(
        "ts_of_min_over_time",
        &[Matrix],
        0,
        Vector,
        "Time of the newest smallest value in the range, in seconds.",
    ),
    stable("vector", &[Scalar], 0, Vector, "A number as a vector without labels."),
    stable("year", &[Vector], 1, Vector, "Year in UTC; of the evaluation time without argument."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_so_that_they_can_be_found() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name));
        for function in FUNCTIONS {
            assert_eq!(find(function.name), Some(function));
            assert!(!function.doc.is_empty());
        }
        assert_eq!(find("nope"), None);
        assert_eq!(
            find("round").map(Function::signature).as_deref(),
            Some("round(instant vector, scalar, …) instant vector")
        );
    }
}
