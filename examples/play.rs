//! Files on a sound device, one after the other, rendered while they are heard.
//!
//!     cargo run --release --example play -- samples/speech-en.wav samples/music.wav

use audiodiff::{
    Result,
    audio::{
        device::{DeviceRequest, OutputDevice},
        player::{Player, PlayerSettings},
    },
    batch::{Models, SourceSettings},
    live::{Event, Session, SessionInput, SessionSettings},
    model::RuntimeOptions,
};
use std::{path::PathBuf, time::Duration};

fn main() -> Result<()> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let models = Models::auto(RuntimeOptions { threads: 2, ..RuntimeOptions::default() })?;
    let device = OutputDevice::find(&DeviceRequest::default())?;
    let playing = PlayerSettings {
        sample_rate: models.first().card().mel.sample_rate,
        channels: usize::from(device.channels()).min(2),
        volume: 1.0,
        cushion_s: 0.3,
    };
    let (player, feed) = Player::start(&device, playing)?;
    let settings = SessionSettings {
        effort: models.first().card().efforts.draft.clone(),
        seed: 0,
        chunk: None,
        source: SourceSettings::default(),
        // Less work where the machine does not keep up.
        adapt: true,
        repeat: false,
        keep_sound: false,
        refining: Default::default(),
    };
    let session = Session::start(models, SessionInput::Files(files), settings, feed)?;
    for event in &session.events {
        match event {
            Event::Opened { input, ends_s, .. } => println!("{} up to {ends_s:.2} s", input.display()),
            Event::Failed { error, .. } => eprintln!("{error}"),
            Event::Ended => break,
            _ => {}
        }
    }
    session.finish(Duration::from_secs(2));
    while !player.status().done {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("heard {:.2} s", player.status().played_s);
    player.close();
    Ok(())
}
