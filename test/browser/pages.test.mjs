// Every page of the console, and the states that its plain address does not show, in light and dark, wide and narrow.

import { looksAt } from "./everypage.mjs";
import { routes, states } from "./tour.mjs";

looksAt({ gateway: [...routes(), ...states()] });
