mod histories;
mod rivals;
mod scenarios;
mod world;
