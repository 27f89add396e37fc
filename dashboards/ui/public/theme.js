// Sets the chosen theme before the first paint, so that a dark page does not flash white.
(function () {
  try {
    var theme = localStorage.getItem('tidewatch.theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch (_) {
    // Storage is forbidden: the system's theme applies.
  }
})();
