import "@utrecht/component-library-css/dist/index.css";
import { render } from "preact";
import { App } from "./app";
import "./style.css";
import { themeClass } from "./theme";

document.documentElement.classList.add(themeClass);
render(<App />, document.getElementById("app")!);
