//! Compensated sums, in the order of operations that Prometheus uses.

/// A running sum with Neumaier's compensation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct KahanSum {
    pub(crate) sum: f64,
    pub(crate) compensation: f64,
}

impl KahanSum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        // What the addition rounded away, exactly, whichever of the two is larger.
        let added = total - self.sum;
        let lost = (self.sum - (total - added)) + (value - added);
        self.compensation = if total.is_infinite() { 0.0 } else { self.compensation + lost };
        self.sum = total;
    }

    #[inline]
    pub(crate) fn value(self) -> f64 {
        self.sum + self.compensation
    }
}

/// A running mean: a compensated sum, until that would overflow.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct KahanMean {
    pub(crate) total: KahanSum,
    pub(crate) count: f64,
    /// Whether `total` holds the mean instead of the sum.
    pub(crate) incremental: bool,
}

impl KahanMean {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let mut next = self.total;
            next.add(value);
            if self.count == 1.0 || !next.sum.is_infinite() {
                self.total = next;
                return;
            }
            self.incremental = true;
            self.total.sum /= self.count - 1.0;
            self.total.compensation /= self.count - 1.0;
        }
        let shrink = (self.count - 1.0) / self.count;
        self.total.sum *= shrink;
        self.total.compensation *= shrink;
        self.total.add(value / self.count);
    }

    #[inline]
    pub(crate) fn value(self) -> f64 {
        if self.incremental {
            self.total.value()
        } else {
            self.total.sum / self.count + self.total.compensation / self.count
        }
    }
}

/// A running variance after Welford, compensated.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct KahanVariance {
    pub(crate) count: f64,
    pub(crate) mean: KahanSum,
    pub(crate) squares: KahanSum,
}

impl KahanVariance {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.value();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.value()));
    }

    #[inline]
    pub(crate) fn variance(self) -> f64 {
        self.squares.value() / self.count
    }
}
