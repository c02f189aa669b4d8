// The one place that names a theme: design tokens of NL Design System and the class that they hang on. An organisation puts its
// own package here.
import "@nl-design-system-unstable/voorbeeld-design-tokens/dist/theme.css";

export const themeClass = "voorbeeld-theme";
