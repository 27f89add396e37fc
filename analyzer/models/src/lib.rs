//! Pure numerics: forecasters, detectors, seasonality, change points.
