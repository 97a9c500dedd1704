// The dashboard's scripts. The page is complete without them; each file adds one function.

import { keepTime } from "./clock.js";
import { actOnForms } from "./forms.js";
import { takeFiles } from "./import.js";
import { listen } from "./live.js";
import { drawMap } from "./map.js";
import { search } from "./search.js";

keepTime();
actOnForms();
takeFiles();
search();
drawMap();
listen();
