"""A hundred commonplace sentences that are never trained on: what a checkpoint is judged by.

Some hold numbers in digits, so that the normaliser takes part.
"""

HELD_OUT: tuple[str, ...] = tuple(
    """The train to the coast leaves in ten minutes.
I left my umbrella on the bus this morning.
Could you tell me where the nearest bank is?
She has been working here for almost three years.
We had soup and bread for lunch today.
The children are playing in the garden behind the house.
What time does the library close on Saturday?
He promised to call me back after dinner.
It will probably rain later this afternoon.
My brother lives in a small town near the river.
Please turn off the lights before you leave.
I have never seen such a beautiful sunset.
The coffee in this place is really good.
Do you know how to get to the airport from here?
They moved into a bigger apartment last month.
I would rather stay at home and read a book.
The doctor told him to drink more water.
Can you help me carry these boxes upstairs?
Our flight was delayed for two hours.
She bought a green dress for the wedding.
There is a letter for you on the kitchen table.
I am looking forward to seeing you next week.
He forgot his wallet at the restaurant.
The movie was much longer than I expected.
We usually go for a walk after supper.
Is there anything else you would like to know?
The dog barked at the mailman all morning.
My grandmother makes the best apple pie in the world.
You should wear a warm coat because it is cold outside.
I think we took the wrong road at the bridge.
The store on the corner sells fresh flowers.
How long have you been waiting for me?
She speaks 4 languages and plays the violin.
The water in the lake is clear and very cold.
I need to buy some milk, eggs and cheese.
He asked me to meet him at the station.
The window in my bedroom does not close properly.
We can talk about the problem tomorrow.
Thank you for helping me with my homework.
The museum is open every day except Monday.
I heard a strange noise in the middle of the night.
Her father works as a nurse in the city hospital.
It takes about half an hour to walk to the beach.
Would you mind opening the door for me?
The old man sat on a bench and fed the birds.
I cannot find my glasses anywhere.
They are planning a trip to the mountains in July.
The teacher explained the lesson once again.
My phone is broken, so I could not call you.
There were more than 50 people at the party.
He always gets up early and goes for a run.
The price of bread has gone up again.
Which of these two shirts do you like better?
We watched the snow fall through the window.
I will send you the pictures as soon as I get home.
She laughed when she heard the story.
The car made a funny sound and then it stopped.
Do not forget to water the plants on Friday.
His office is on the 3rd floor, next to the stairs.
I have a meeting with my boss at 9 o'clock.
The baby finally fell asleep in her arms.
You can leave your bags here if you want.
It was so dark that we could not see the road.
My sister wants to become a singer.
The weather has been wonderful all week.
Are you hungry, or should we eat later?
He put the money on the counter and walked away.
I grew up on a farm with horses and cows.
The hotel was clean, but the bed was too soft.
We ran out of paper, so I have to go to the shop.
Someone is knocking at the front door.
She wrote her name at the top of the page.
The last bus leaves at half past eleven.
I do not understand why he is angry with me.
They painted the kitchen yellow and white.
Can I have the bill, please?
The boys were swimming in the river all day.
I hope you feel better soon.
My neighbor has a cat with one blue eye.
The road to the village is narrow and steep.
It is easier to learn a song than a poem.
He told us a joke, and everybody laughed.
The kettle is on the stove, and the tea is in the cupboard.
She lost her keys somewhere between work and home.
I had to wait in line for 20 minutes.
The wind blew my hat into the street.
We are having some friends over for dinner tonight.
What did you do with the rest of the cake?
The bakery opens at six in the morning.
He has a good job, but he does not like it.
There is not enough room in the car for all of us.
My favorite season is autumn because of the colors.
The computer is slow, but it still works.
I met her at a concert 5 years ago.
The soup needs a little more salt.
You have to change trains in the next city.
The children were too excited to sleep.
He read the newspaper and drank a cup of black coffee.
Tomorrow will be a busy day for both of us.
I would like to try the blue one, please.""".split("\n")
)
