// Every page of the console with the other charters: what differs are names and numbers, which may break what they stand
// in. The owner's pages are the fullest, and are looked at where there is least room.

import { looksAt } from "./everypage.mjs";
import { dark, light } from "./look.mjs";
import { everywhere, routes } from "./tour.mjs";

const tour = routes().filter(({ path }) => !everywhere(path));

looksAt({ automation: tour, documents: tour }, { stranger: dark, owner: dark, lowest: light });
